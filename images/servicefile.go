package images

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// ServiceFile is the file in a service's folder that says how its image is made.
const ServiceFile = "dynsandbox.yaml"

// commandBuild is what it says.
type commandBuild struct {
	argv   []string // build: the command, run in the service's folder
	image  string   // image: the name in the engine of the image that the command leaves
	oci    string   // oci: the folder, relative to the service's, of the OCI layout that it leaves; then there is no image
	ignore []string // files that the command writes, or doesn't read, as in a .dockerignore
}

// serviceFileKeys are the keys that it may have.
var serviceFileKeys = []string{"build", "image", "oci", "ignore"}

// readServiceFile reads the file of a service. What is wrong in it is a [fault.Invalids], with places.
func readServiceFile(workspace string, svc Service) (commandBuild, error) {
	file := path.Join(svc.Dir, ServiceFile)
	content, err := os.ReadFile(filepath.Join(workspace, filepath.FromSlash(file)))
	if err != nil {
		return commandBuild{}, err
	}
	r := serviceFileReader{file: file}
	r.read(content)
	if r.bad != nil {
		return commandBuild{}, r.bad
	}
	if r.found.image == "" && r.found.oci == "" {
		r.found.image = svc.Name
	}
	return r.found, nil
}

type serviceFileReader struct {
	file  string
	found commandBuild
	bad   fault.Invalids
}

func (r *serviceFileReader) fail(at *token.Token, suggestion, format string, args ...any) {
	i := fault.Invalid{File: r.file, Line: 1, Column: 1, Problem: fmt.Sprintf(format, args...), Suggestion: suggestion}
	if at != nil && at.Position != nil {
		i.Line, i.Column = at.Position.Line, at.Position.Column
	}
	r.bad = append(r.bad, i)
}

func (r *serviceFileReader) read(content []byte) {
	parsed, err := parser.ParseBytes(content, 0)
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.fail(syntax.GetToken(), "", "%s", syntax.GetMessage())
		return
	case err != nil:
		r.fail(nil, "", "%v", err)
		return
	case len(parsed.Docs) > 1:
		r.fail(parsed.Docs[1].Start, "", "a second document: a service has one")
		return
	}
	var keys []*ast.MappingValueNode
	if len(parsed.Docs) == 1 {
		switch body := parsed.Docs[0].Body.(type) {
		case *ast.MappingNode:
			keys = body.Values
		case *ast.MappingValueNode:
			keys = []*ast.MappingValueNode{body}
		}
	}
	at := map[string]*token.Token{}
	for _, kv := range keys {
		key := kv.Key.GetToken()
		at[key.Value] = key
		switch key.Value {
		case "build":
			r.found.argv = r.list(kv)
		case "ignore":
			r.found.ignore = r.list(kv)
		case "image":
			r.found.image = r.text(kv.Value)
		case "oci":
			r.found.oci = r.text(kv.Value)
		default:
			r.fail(key, nearest.Hint(key.Value, serviceFileKeys), "unknown key %q", key.Value)
		}
	}
	r.check(at)
}

// check looks at what the keys say together. at is where each stands.
func (r *serviceFileReader) check(at map[string]*token.Token) {
	switch {
	case at["build"] == nil && r.bad == nil:
		r.fail(nil, `build: ["make", "image"]`, "it has no command to build with")
	case at["image"] != nil && at["oci"] != nil:
		r.fail(at["oci"], "", "the command leaves either an image in the engine or an OCI layout, not both")
	}
	if r.found.image != "" {
		if _, err := name.ParseReference(r.found.image); err != nil {
			r.fail(at["image"], "", "%q is no name of an image", r.found.image)
		}
	}
	if oci := r.found.oci; oci != "" && (!filepath.IsLocal(oci) || path.Clean(oci) == ".") { // the folder itself is of sources
		r.fail(at["oci"], "", "%q is not below the service's folder", r.found.oci)
	}
}

// list reads a list of texts, which must not be empty.
func (r *serviceFileReader) list(kv *ast.MappingValueNode) []string {
	items, ok := kv.Value.(*ast.SequenceNode)
	if !ok || len(items.Values) == 0 {
		r.fail(kv.Value.GetToken(), fmt.Sprintf("%s: [%q]", kv.Key.GetToken().Value, strings.TrimSpace(kv.Value.GetToken().Value)), "it must be a list of strings")
		return nil
	}
	var texts []string
	for _, item := range items.Values {
		texts = append(texts, r.text(item))
	}
	return texts
}

func (r *serviceFileReader) text(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok && s.Value != "" {
		return s.Value
	}
	r.fail(n.GetToken(), "put it in quotes", "it must be a string, and not empty")
	return ""
}
