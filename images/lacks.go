package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Kinds of what a machine lacks.
const (
	LackImage    = "image"
	LackGo       = "go"
	LackPython   = "python"
	LackPackages = "packages" // of another language
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
	groups := byLanguage(services)
	var lacks []Lack
	told := map[Lack]bool{}
	for _, language := range slices.Sorted(maps.Keys(groups)) {
		c := carrierOf(b[language])
		if c == nil {
			continue // the build will complain
		}
		more, err := c.lacks(ctx, groups[language])
		if err != nil {
			return nil, fmt.Errorf("look for what %s are built of: %w", strings.Join(serviceNames(groups[language]), ", "), err)
		}
		for _, l := range more {
			if !told[l] { // services share their bases
				told[l] = true
				lacks = append(lacks, l)
			}
		}
	}
	return lacks, nil
}

// fetching matches a step that gets something from a network.
var fetching = regexp.MustCompile(`(?im)^\s*RUN\b(?:.*\\\n)*.*\b(?:pip3?|apt|apt-get|apk|dnf|yum|curl|wget|git|npm|yarn|conda|poetry|uv|mvn|gradle)\b`)

// fetches reports whether a Dockerfile has such a step.
func fetches(dockerfile []byte) bool {
	return fetching.Match(bytes.ReplaceAll(dockerfile, []byte("\r\n"), []byte("\n")))
}

// lackingBases returns those images that a service's Dockerfile names and this machine hasn't, and the Dockerfile.
func (b *DockerfileBuilder) lackingBases(ctx context.Context, svc Service, path string) (lacks []Lack, dockerfile []byte, err error) {
	if dockerfile, err = os.ReadFile(filepath.Join(b.Workspace, filepath.FromSlash(path))); err != nil {
		return nil, nil, err
	}
	syntax, _, _, _ := parser.DetectSyntax(dockerfile)
	_, _, err = rewriteDockerfile(ctx, dockerfile, b.buildArgs(svc), func(ctx context.Context, ref string) (string, error) {
		has, err := b.Bases.Has(ctx, ref)
		if err == nil && !has && ref != syntax { // without it the engine's own syntax does
			lacks = append(lacks, Lack{Kind: LackImage, Name: ref, Why: path + " begins with it"})
		}
		return ref, err
	}, "")
	return lacks, dockerfile, err
}

// lacksOfEach returns what services lack of which each is built by itself.
func lacksOfEach(ctx context.Context, services []Service, one func(context.Context, Service) ([]Lack, error)) ([]Lack, error) {
	var all []Lack
	for _, svc := range services {
		lacks, err := one(ctx, svc)
		if err != nil {
			return nil, err
		}
		all = append(all, lacks...)
	}
	return all, nil
}

func (b *DockerfileBuilder) lacks(ctx context.Context, services []Service) ([]Lack, error) {
	return lacksOfEach(ctx, services, b.lacksOne)
}

// lacksOne returns what one service lacks. All bases are told; what steps fetch only when every base is there.
func (b *DockerfileBuilder) lacksOne(ctx context.Context, svc Service) ([]Lack, error) {
	lacks, dockerfile, err := b.lackingBases(ctx, svc, svc.Dir+"/Dockerfile")
	if err != nil || len(lacks) > 0 {
		return lacks, err
	}
	in, err := b.inputs(ctx, svc)
	if err != nil {
		return nil, err
	}
	id, err := b.find(ctx, in)
	if err != nil || id != "" || !fetches(dockerfile) {
		return nil, err
	}
	return []Lack{{Kind: LackPackages, Name: "what the Dockerfile of " + svc.Name + " fetches", Why: "it has to be built: its sources are not those of an image that was built here or came with a bundle"}}, nil
}

func (b *PythonBuilder) lacks(ctx context.Context, services []Service) ([]Lack, error) {
	return lacksOfEach(ctx, services, b.lacksOne)
}

// lacksOne is as that of a [DockerfileBuilder]; a layer may do where the image is another.
func (b *PythonBuilder) lacksOne(ctx context.Context, svc Service) ([]Lack, error) {
	lacks, dockerfile, err := b.lackingBases(ctx, svc, b.dockerfile(svc))
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
	id, err := b.find(ctx, in.buildInputs)
	if err != nil || id != "" || !fetches(dockerfile) {
		return nil, err
	}
	return []Lack{{Kind: LackPython, Name: "the packages of " + svc.Name, Why: "it has to be built, and its Dockerfile installs packages: " + reason}}, nil
}
