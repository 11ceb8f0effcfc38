package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeFiles makes files, each with some text, in a new folder.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		writeFile(t, filepath.Join(dir, path), text)
	}
	return dir
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{
		"go/cmd/agent/main.go": "", "go/cmd/sidecar/main.go": "", "go/cmd/sum/main.go": "", "go/cmd/loadtest/main.go": "",
		"go/cmd/notes/readme.md": "", "python/query/main.py": "", "python/sum/main.py": "", "python/tests/test_x.py": "",
		"python/lib/setup.py": "", "python/lib/lib/__init__.py": "", "python/.cache/main.py": "",
	})
	found, err := Discover(workspace, Refs{
		Images:  []string{"me/agent:dev", "other/agent:dev", "me/sidecar:dev", "me/agent:dev", "rabbitmq:3-management", "me/agent@sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		Jobs:    []string{"query", "sum", "graph", "query"},
		Account: "me", Tag: "dev",
	})
	if err != nil {
		t.Fatal(err)
	}
	services := map[string][]string{}
	for _, s := range found.Services {
		line := []string{s.Language + " " + s.Dir}
		for _, r := range s.Refs {
			line = append(line, Normalised(r))
		}
		services[s.Name] = line
	}
	if diff := cmp.Diff(map[string][]string{
		"agent": {"go go/cmd/agent", "docker.io/me/agent:dev", "docker.io/other/agent:dev"},
		// A Job's containers are asked for under the names that agents have compiled in, too.
		"sidecar": {"go go/cmd/sidecar", "docker.io/dynamos1/sidecar:main", "docker.io/me/sidecar:dev"},
		"query":   {"python python/query", "docker.io/dynamos1/query:main", "docker.io/me/query:dev"},
		"sum":     {"go go/cmd/sum", "docker.io/dynamos1/sum:main", "docker.io/me/sum:dev"},
	}, services); diff != "" {
		t.Errorf("services: %s", diff)
	}
	if diff := cmp.Diff([]NotBuilt{
		{"loadtest", "go/cmd/loadtest", "no chart and no launch file refers to it"},
		{"sum", "python/sum", "go/cmd/sum has the same name"},
		{"tests", "python/tests", "it has no main.py"},
	}, found.NotBuilt); diff != "" {
		t.Errorf("not built: %s", diff)
	}
	if diff := cmp.Diff([]Missing{
		{"me/agent@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "charts"}, {"rabbitmq:3-management", "charts"}, {"graph", "launch files"},
	}, found.Missing); diff != "" {
		t.Errorf("missing: %s", diff)
	}
}

func TestDiscoverRefusesWhatIsNoReference(t *testing.T) {
	t.Parallel()
	if _, err := Discover(t.TempDir(), Refs{Images: []string{"Not A Reference"}}); err == nil {
		t.Error("no error")
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
