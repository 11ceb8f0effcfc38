package images

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// counter counts what its builder is asked for.
type counter struct {
	Builder
	asked []string
}

func (c *counter) Build(ctx context.Context, services ...Service) ([]Built, error) {
	c.asked = append(c.asked, serviceNames(services)...)
	return c.Builder.Build(ctx, services...)
}

// A cached image must never be an old one, nor one that can't be read any more.
func TestCachedGoBuilds(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	cache := t.TempDir()
	c := &counter{Builder: &GoBuilder{Workspace: workspace, Cache: cache}}
	b := Builders{Go: &Cached{Builder: c, Key: GoKey(workspace)}}
	main := filepath.Join(workspace, "go/cmd/two/main.go")
	for _, step := range []struct {
		name   string
		before func()
		asked  []string // of the builder behind the cache
		built  int
	}{
		{"first", func() {}, []string{"one", "two"}, 2},
		{"no change", func() {}, nil, 2},
		{"a mistake", func() { writeFile(t, main, "package main\n\nfunc main() { no }\n") }, []string{"one", "two"}, 1},
		{"the mistake again", func() {}, []string{"two"}, 1},
		{"mended", func() { writeFile(t, main, "package main\n\nfunc main() { println(\"mended\") }\n") }, []string{"one", "two"}, 2},
		{"the layers were removed", func() {
			if err := os.RemoveAll(filepath.Join(cache, "go")); err != nil {
				t.Fatal(err)
			}
		}, []string{"one", "two"}, 2},
		{"a module of another folder", func() {
			writeFile(t, filepath.Join(workspace, "other/go.mod"), "module example.test/o\n")
			writeFile(t, filepath.Join(workspace, "go/go.mod"), "module example.test/w\n\ngo 1.21\n\nreplace example.test/o => ../other\n")
		}, []string{"one", "two"}, 2},
		{"which may have been changed", func() {}, []string{"one", "two"}, 2},
	} {
		step.before()
		c.asked = nil
		built, err := b.All(t.Context(), services)
		if (err != nil) != (step.built < 2) || len(built) != step.built {
			t.Errorf("%s: %d built, error %v", step.name, len(built), err)
		}
		if slices.Sort(c.asked); !slices.Equal(c.asked, step.asked) {
			t.Errorf("%s: asked to build %v, want %v", step.name, c.asked, step.asked)
		}
		for _, b := range built {
			checkLayer(t, b)
		}
	}
}
