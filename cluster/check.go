package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Check asks the API server whether it would take the objects, and changes nothing. What it refuses of charts is a
// fault.Invalids: the template in the workspace, with the line where only one there can be meant. Objects of kinds that the cluster
// doesn't know, and may learn from the others, aren't checked.
func (c *Client) Check(ctx context.Context, workspace fs.FS, objects []Object) error {
	var mu sync.Mutex
	var invalid fault.Invalids
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for _, o := range objects {
		g.Go(func() error {
			err := c.dryRun(ctx, o)
			if problems := refusal(err); o.Template != "" && problems != nil {
				mu.Lock()
				defer mu.Unlock()
				for _, p := range problems {
					line, column := placeOf(workspace, o, p.field)
					invalid = append(invalid, fault.Invalid{File: o.Template, Line: line, Column: column, Problem: o.ID() + ": " + p.text})
				}
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(invalid) == 0 {
		return nil
	}
	slices.SortFunc(invalid, func(a, b fault.Invalid) int { return strings.Compare(a.Error(), b.Error()) })
	return invalid
}

// dryRun asks for one object.
func (c *Client) dryRun(ctx context.Context, o Object) error {
	p, err := c.place(o)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the API of %s: %w", o.ID(), err)
	}
	u := c.labelled(o)
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: []string{metav1.DryRunAll}}
	_, err = c.at(p).Apply(ctx, u.GetName(), u, options)
	if namespaceMissing(err) {
		p.namespace = releaseNamespace // its own comes with it
		u.SetNamespace(p.namespace)
		u.SetName(unlikely(o.GetName()))
		_, err = c.at(p).Apply(ctx, u.GetName(), u, options)
		rename(err, u.GetName(), o.GetName())
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", o.ID(), err)
	}
	return nil
}

// namespaceMissing tells that the namespace of an object isn't there, or about to go.
func namespaceMissing(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces"
}

// unlikely is a name like another, which no object has: what may not change of one that has it is no fault of a new one. It is no
// longer than a name of that length may be.
func unlikely(name string) string {
	const random = 8
	return name[:min(len(name), max(1, len(name)-random))] + rand.String(random)
}

// rename has the API server speak of an object by another name.
func rename(err error, from, to string) {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return
	}
	status.ErrStatus.Message = strings.ReplaceAll(status.ErrStatus.Message, from, to)
	if details := status.ErrStatus.Details; details != nil {
		for i := range details.Causes {
			details.Causes[i].Message = strings.ReplaceAll(details.Causes[i].Message, from, to)
		}
	}
}

// refused is one thing that the API server doesn't take.
type refused struct{ field, text string }

// typed is how server-side apply says that a field isn't in the schema, or has a value of another type.
var typed = regexp.MustCompile(`failed to create typed patch object \([^)]*\): (?:errors:)?\s*`)

// refusal returns what in an object the API server refuses; none when that isn't what an error says.
func refusal(err error) (out []refused) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil
	}
	s := status.Status()
	if at := typed.FindStringIndex(s.Message); at != nil {
		for _, line := range strings.Split(s.Message[at[1]:], "\n") {
			if line = strings.TrimSpace(line); line != "" {
				field, _, _ := strings.Cut(line, ": ")
				out = append(out, refused{field, line})
			}
		}
		return out
	}
	switch s.Code {
	case http.StatusUnprocessableEntity, http.StatusBadRequest, http.StatusForbidden:
	default:
		return nil
	}
	if s.Details != nil {
		for _, cause := range s.Details.Causes {
			if cause.Field != "" {
				out = append(out, refused{cause.Field, cause.Field + ": " + oneLine(cause.Message)})
			}
		}
	}
	if out == nil {
		out = []refused{{"", oneLine(s.Message)}}
	}
	return out
}

// lastName is the last name in the path of a field: spec.containers[0].image, .spec.containers[name="a:b"].image.
var lastName = regexp.MustCompile(`([A-Za-z_][\w-]*)(?:\[[^\]]*\])?$`)

// placeOf returns line and column of a field in an object's template, or zeros when it isn't written in the object's part of it, or
// more than once: which one is meant can't be told then.
func placeOf(workspace fs.FS, o Object, field string) (line, column int) {
	name := lastName.FindStringSubmatch(field)
	if name == nil {
		return 0, 0
	}
	text, err := fs.ReadFile(workspace, o.Template)
	if err != nil {
		return 0, 0
	}
	lines := strings.Split(string(text), "\n")
	from, to := partOf(lines, o)
	key := regexp.MustCompile(`(?:^|[\s{,"'])(` + regexp.QuoteMeta(name[1]) + `)["']?\s*:`)
	for i, l := range lines[from:to] {
		for _, at := range key.FindAllStringSubmatchIndex(l, -1) {
			if line > 0 {
				return 0, 0
			}
			line, column = from+i+1, len([]rune(l[:at[2]]))+1
		}
	}
	return line, column
}

// partOf returns the lines of a template that an object comes from: the only document, or the only one with its kind and name,
// where an expression may be either. Otherwise they are none.
func partOf(lines []string, o Object) (from, to int) {
	var parts, own [][2]int
	begin := 0
	for i := range len(lines) + 1 {
		if i < len(lines) && !strings.HasPrefix(lines[i], "---") {
			continue
		}
		part := strings.Join(lines[begin:i], "\n")
		if strings.TrimSpace(part) != "" {
			parts = append(parts, [2]int{begin, i})
		}
		if says(kindLine, part, o.GetKind()) && says(nameLine, part, o.GetName()) {
			own = append(own, [2]int{begin, i})
		}
		begin = i + 1
	}
	if len(parts) == 1 {
		own = parts
	}
	if len(own) != 1 {
		return 0, 0
	}
	return own[0][0], own[0][1]
}

// What a document of a template says of its object, where it has a line for each.
var (
	kindLine = regexp.MustCompile(`(?m)^kind:[ \t]*(.*)$`)
	nameLine = regexp.MustCompile(`(?m)^metadata:[^\n]*\n(?:[ \t#][^\n]*\n|\{\{[^\n]*\n|\n)*?[ \t]+name:[ \t]*(.*)$`)
)

// says reports whether a line of a document has a value, or may have it.
func says(line *regexp.Regexp, document, value string) bool {
	found := line.FindStringSubmatch(document)
	if found == nil {
		return false
	}
	written, _, _ := strings.Cut(found[1], " #")
	return strings.Contains(found[1], "{{") || strings.Trim(strings.TrimSpace(written), `"'`) == value
}
