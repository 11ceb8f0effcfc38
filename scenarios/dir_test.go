package scenarios

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestParseDir(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"scenarios/b.yaml":        {Data: []byte(valid)},
		"scenarios/a.yml":         {Data: []byte(strings.Replace(valid, "name: local", "name: shared", 1))},
		"scenarios/.b.yaml":       {Data: []byte("what an editor left")},
		"scenarios/notes.txt":     {Data: []byte("no scenario")},
		"scenarios/sub/c.yaml":    {Data: []byte("not looked at")},
		"scenarios/dir.yaml/d.md": {Data: []byte("a folder, whatever it is called")},
		"e.yaml":                  {Data: []byte("not looked at")},
	}
	all, err := ParseDir(fsys, "scenarios")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.File+" "+s.Name)
	}
	if diff := cmp.Diff([]string{"scenarios/a.yml shared", "scenarios/b.yaml local"}, names); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
}

func TestParseDirCollectsEverything(t *testing.T) {
	t.Parallel()
	_, err := ParseDir(fstest.MapFS{
		"scenarios/b.yaml": {Data: []byte(valid)},
		"scenarios/c.yaml": {Data: []byte("version: 1\nnmae: x\n")},
		"scenarios/d.yml":  {Data: []byte(valid)},
		"scenarios/e.yaml": {Data: []byte("nowhere"), Mode: fs.ModeSymlink},
	}, "scenarios")
	want := `scenarios/c.yaml:1:1: field "name" is missing in a scenario
scenarios/c.yaml:1:1: field "request" is missing in a scenario
scenarios/c.yaml:2:1: unknown field "nmae" in a scenario (did you mean "name"?)
scenarios/d.yml: scenarios/b.yaml has a scenario "local" already
scenarios/e.yaml: read scenario: open scenarios/e.yaml: file does not exist`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestParseDirWithoutAFolder(t *testing.T) {
	t.Parallel()
	all, err := ParseDir(fstest.MapFS{"a.yaml": {Data: []byte(valid)}}, "scenarios")
	if err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", all, err)
	}
	if _, err := ParseDir(fstest.MapFS{"scenarios": {Data: []byte("a file")}}, "scenarios"); err == nil {
		t.Error("a file instead of the folder is accepted")
	}
}
