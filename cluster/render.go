package cluster

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	dependencies "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Rendered is what a workspace's charts amount to.
type Rendered struct {
	Objects   []Object   // in the order in which they are to be applied
	Omissions []Omission // what the charts have and the sandbox leaves out
	Artifacts []Artifact // whose images the charts ask for
}

// Artifact is the account and the tag that a chart's values give to the workspace's own images:
// agents put them together with a service's name, ACCOUNT/NAME:TAG.
type Artifact struct {
	Chart   string `json:"chart"`
	Account string `json:"account"`
	Tag     string `json:"tag"`
}

// releaseNamespace is where charts that don't say a namespace are installed, as by `helm install` without one.
const releaseNamespace = "default"

// RenderWorkspace renders every chart in the workspace's folder charts/ with values laid over the chart's own,
// and leaves out what the sandbox provides itself (see [Omission]). No cluster is asked.
//
// Charts that don't render are refused with fault.Invalids: all of them, with file and line where Helm says one.
func RenderWorkspace(workspace string, values map[string]any) (*Rendered, error) {
	dirs, err := filepath.Glob(filepath.Join(workspace, "charts", "*", "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, fault.Invalid{File: "charts", Problem: "no chart in " + filepath.Join(workspace, "charts"), Suggestion: "a workspace has one folder per chart there, each with a Chart.yaml"}
	}
	r := &Rendered{}
	var invalid fault.Invalids
	for _, d := range dirs {
		dir := filepath.Dir(d)
		name := filepath.Base(dir)
		objects, err := Render(dir, name, releaseNamespace, values)
		if is := fault.AsInvalids(err); is != nil {
			// A chart that is left out whole needn't be in order.
			if omittedCharts[name] == "" {
				invalid = append(invalid, is...)
			}
			continue
		} else if err != nil {
			return nil, err
		}
		kept, left := omit(objects)
		r.Objects = append(r.Objects, kept...)
		r.Omissions = append(r.Omissions, left...)
		if a, ok := artifact(dir); ok && omittedCharts[name] == "" {
			r.Artifacts = append(r.Artifacts, a)
		}
	}
	if len(invalid) > 0 {
		return nil, invalid
	}
	r.Objects = Order(r.Objects)
	return r, nil
}

// Render renders one chart and returns its objects in the order of its files, hooks included.
// Files are named charts/FOLDER/... in what is returned, as the user sees them in the workspace.
func Render(dir, release, namespace string, values map[string]any) ([]Object, error) {
	folder := filepath.Base(dir)
	ch, err := loader.LoadDir(dir)
	if err != nil {
		return nil, invalidChart(err, folder, "")
	}
	if err := ch.Validate(); err != nil {
		return nil, invalidChart(err, folder, ch.Name())
	}
	if err := dependencies.ProcessDependencies(ch, values); err != nil {
		return nil, invalidChart(err, folder, ch.Name())
	}
	full, err := chartutil.ToRenderValues(ch, values,
		common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, invalidChart(err, folder, ch.Name())
	}
	files, err := engine.Render(ch, full)
	if err != nil {
		return nil, invalidChart(err, folder, ch.Name())
	}
	for _, crd := range ch.CRDObjects() {
		files[path.Join(ch.Name(), crd.Filename)] = string(crd.File.Data)
	}
	return decode(files, folder, ch)
}

// decode splits the rendered files into objects.
func decode(files map[string]string, folder string, ch *chart.Chart) ([]Object, error) {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var objects []Object
	var invalid fault.Invalids
	for _, name := range names {
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" && ext != ".json" {
			continue // NOTES.txt
		}
		template := inWorkspace(name, folder, ch.Name())
		docs := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(files[name])))
		for {
			doc, err := docs.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read rendered %s: %w", template, err)
			}
			var m map[string]any
			if err := sigsyaml.Unmarshal(doc, &m); err != nil {
				invalid = append(invalid, fault.Invalid{File: template, Problem: "what it renders to is no YAML: " + oneLine(err.Error()) + near(doc, err)})
				continue
			}
			if len(m) == 0 {
				continue // comments only
			}
			u := &unstructured.Unstructured{Object: m}
			if u.GetKind() == "" || u.GetAPIVersion() == "" || u.GetName() == "" {
				invalid = append(invalid, fault.Invalid{File: template, Problem: "renders to an object without apiVersion, kind or name"})
				continue
			}
			objects = append(objects, Object{Unstructured: u, Chart: folder, Template: template})
		}
	}
	if len(invalid) > 0 {
		return nil, invalid
	}
	return objects, nil
}

// secretKind finds the kind of a Secret (a sealed one, an external one, ...) in what can't be parsed.
var secretKind = regexp.MustCompile(`(?i)kind["']?\s*:\s*["']?\w*secret`)

// near quotes the rendered line that a YAML error names, since its number is of no use in the template.
// A Secret's lines aren't quoted: errors end up in logs and reports.
func near(doc []byte, err error) string {
	if secretKind.Match(doc) {
		return ""
	}
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	lines := bytes.Split(doc, []byte("\n"))
	// A thing that isn't closed is missed at the end: quote the last line that has something.
	for n := min(atoi(m[1]), len(lines)); n >= 1; n-- {
		if l := strings.TrimSpace(string(lines[n-1])); l != "" {
			return fmt.Sprintf(", near the rendered line %q", l)
		}
	}
	return ""
}

// artifact reads the two values that name the workspace's images.
func artifact(dir string) (Artifact, bool) {
	b, err := os.ReadFile(filepath.Join(dir, "values.yaml"))
	if err != nil {
		return Artifact{}, false
	}
	var v struct {
		Account string `json:"dockerArtifactAccount"`
		Tag     string `json:"branchNameTag"`
	}
	if err := sigsyaml.Unmarshal(b, &v); err != nil || v.Account == "" || v.Tag == "" {
		return Artifact{}, false
	}
	return Artifact{Chart: filepath.Base(dir), Account: v.Account, Tag: v.Tag}, true
}
