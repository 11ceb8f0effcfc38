package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Kinds of what a machine lacks.
const (
	LackImage  = "image"
	LackGo     = "go"
	LackPython = "python"
)

// Lack is one thing that a bring-up offline takes and that is not on this machine.
type Lack struct {
	Kind string `json:"kind"` // one of the Lack constants
	Name string `json:"name"` // "rabbitmq:3-management", "golang.org/x/sync@v0.24.0"
	Why  string `json:"why"`  // what it is for
}

func (l Lack) String() string { return l.Name + ": " + l.Why }

// Has reports whether an image, or a stand-in for it, can be had without a network.
func (t *ThirdParty) Has(ctx context.Context, ref string) (bool, error) {
	_, ok, err := t.inEngine(ctx, ref)
	if r, standIn := recipeFor(ref); err == nil && !ok && standIn {
		if exists(t.archive(r)) {
			return true, nil
		}
		_, ok, err = t.inEngine(ctx, r.ref())
	}
	return ok, err
}

// Lacks returns what building services offline takes and this machine hasn't, as far as it can be told before.
func (b Builders) Lacks(ctx context.Context, services []Service) ([]Lack, error) {
	var goServices []Service
	var lacks []Lack
	told := map[Lack]bool{}
	for _, s := range services {
		if s.Language == Go {
			goServices = append(goServices, s)
			continue
		}
		python, ok := b.Python.(*PythonBuilder)
		if !ok {
			continue
		}
		more, err := python.lacks(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("look for what %s is built of: %w", s.Name, err)
		}
		for _, l := range more {
			if !told[l] { // services share their bases
				told[l] = true
				lacks = append(lacks, l)
			}
		}
	}
	more, err := b.Go.Lacks(ctx, goServices)
	return append(lacks, more...), err
}

// fetches matches a step that gets something from a network.
var fetches = regexp.MustCompile(`(?im)^\s*RUN\b(?:.*\\\n)*.*\b(?:pip3?|apt|apt-get|apk|dnf|yum|curl|wget|git|npm|conda|poetry|uv)\b`)

// lacks returns what one service lacks. All bases are told; packages only when every base is there.
func (b *PythonBuilder) lacks(ctx context.Context, svc Service) ([]Lack, error) {
	path, dockerfile, err := b.dockerfile(svc)
	if err != nil {
		return nil, err
	}
	syntax, _, _, _ := parser.DetectSyntax(dockerfile)
	var lacks []Lack
	_, _, err = rewriteDockerfile(ctx, dockerfile, func(ctx context.Context, ref string) (string, error) {
		has, err := b.Bases.Has(ctx, ref)
		if err == nil && !has && ref != syntax { // without it the engine's own syntax does
			lacks = append(lacks, Lack{Kind: LackImage, Name: ref, Why: path + " begins with it"})
		}
		return ref, err
	}, "")
	if err != nil || len(lacks) > 0 {
		return lacks, err
	}
	in, err := b.inputs(ctx, svc)
	if errors.Is(err, ErrOffline) {
		return []Lack{{Kind: LackPython, Name: "the Python library", Why: "its sources are not those that were built here or came with a bundle, and building them takes packages"}}, nil
	}
	if err != nil {
		return nil, err
	}
	img, reason, err := b.withLayer(ctx, svc, in)
	if err != nil || img != nil {
		return nil, err
	}
	id, err := b.find(ctx, in)
	if err != nil || id != "" || !fetches.Match(bytes.ReplaceAll(dockerfile, []byte("\r\n"), []byte("\n"))) {
		return nil, err
	}
	return []Lack{{Kind: LackPython, Name: "the packages of " + svc.Name, Why: "it has to be built, and its Dockerfile installs packages: " + reason}}, nil
}
