package watch

import (
	"os"
	"testing"
)

// TestSaves does with files what editors do when they save, as seen with strace.
func TestSaves(t *testing.T) {
	const name = "go/cmd/agent/main.go"
	w := newWorkspace(t, name)
	w.watch(Config{}, defaultTuning)
	tests := []struct {
		name string
		do   func()
	}{
		{"vim", func() {
			w.write("go/cmd/agent/.main.go.swp", "swap")
			w.write("go/cmd/agent/4913", "")
			w.remove("go/cmd/agent/4913")
			w.rename(name, name+"~")
			w.write(name, "vim")
			w.remove(name + "~")
			w.remove("go/cmd/agent/.main.go.swp")
		}},
		{"vim that keeps its backup and swap file", func() {
			w.write("go/cmd/agent/.main.go.swo", "swap")
			w.rename(name, name+"~")
			w.write(name, "vim")
		}},
		{"VS Code", func() { w.write(name, "code") }},
		{"VS Code, atomic", func() {
			w.write(name+".vsctmp", "code")
			w.rename(name+".vsctmp", name)
		}},
		{"JetBrains", func() {
			w.write(name+"___jb_tmp___", "idea")
			w.rename(name, name+"___jb_old___")
			w.rename(name+"___jb_tmp___", name)
			w.remove(name + "___jb_old___")
		}},
		{"Emacs", func() {
			w.check(os.Symlink("user@host.1234:5678", w.path("go/cmd/agent/.#main.go")))
			w.write("go/cmd/agent/#main.go#", "auto-saved")
			w.write(name, "emacs")
			w.remove("go/cmd/agent/#main.go#")
			w.remove("go/cmd/agent/.#main.go")
		}},
		{"a tool with a temporary file", func() {
			w.write(name+".tmp", "tool")
			w.rename(name+".tmp", name)
		}},
		{"sed -i, whose temporary name is nobody's pattern", func() {
			w.write("go/cmd/agent/sedQ3xZ", "sed")
			w.rename("go/cmd/agent/sedQ3xZ", name)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { w.t = t; w.exactly(tt.do, name) })
	}
}

func TestEditorFile(t *testing.T) {
	for name, want := range map[string]bool{
		"main.go": false, "#": false, ".env": false, ".dockerignore": false, "film.swf": false, "4914": false, "1234": false,
		"tmp": false, "x.tmpl": false, "49130": false, "data.csv": false,
		"4913": true, "5036": true, "main.go~": true, ".main.go.swp": true, ".main.go.swn": true, "main.go.swp": true,
		".#main.go": true, "#main.go#": true, "main.go___jb_tmp___": true, "main.go___jb_old___": true, "main.go.tmp": true,
		".goutputstream-K3X0Z2": true, ".main.go.kate-swp": true, ".nfs0000000001": true, ".DS_Store": true,
	} {
		if got := editorFile(name); got != want {
			t.Errorf("editorFile(%q) = %v", name, got)
		}
	}
}
