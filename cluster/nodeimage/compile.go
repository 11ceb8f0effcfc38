package nodeimage

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// goPart is a part that is compiled from the Go module in modules/<name>.
type goPart struct {
	name     string
	packages string // what to build: "tool" (all tools of the module) or "." (its own main package)
	cgo      bool
	tags     string
	ldflags  string
	expect   time.Duration
	needs    []tool
}

func (g goPart) part() part {
	return part{
		name:   g.name,
		inputs: []string{hashFiles(modules, path.Join("modules", g.name)), g.packages, fmt.Sprint(g.cgo), g.tags, g.ldflags},
		expect: g.expect,
		needs:  append([]tool{goCommand}, g.needs...),
		make:   g.compile,
	}
}

// compile puts the module's programs into dir.
func (g goPart) compile(ctx context.Context, b *Builder, dir string) error {
	src, err := unpackModule(g.name, dir)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "tmp") // the compiler's own, so that it goes with the folder when a build is killed
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	cgo := "CGO_ENABLED=0"
	if g.cgo {
		cgo = "CGO_ENABLED=1"
	}
	_, err = b.run(ctx, command{
		dir:  src,
		env:  append(goEnv(), cgo, "GOTMPDIR="+tmp),
		argv: []string{"nice", "-n", "5", "go", "build", "-trimpath", "-tags", g.tags, "-ldflags", strings.TrimSpace("-s -w " + g.ldflags), "-o", dir + "/", g.packages},
	})
	if err != nil {
		return err
	}
	return removeAll(src, tmp)
}

// goEnv is the environment of the go command: nothing of the user's own workspace or flags gets into the image.
func goEnv() []string {
	return []string{"GOFLAGS=-buildvcs=false -mod=readonly", "GOWORK=off", "GOOS=linux", "GOARCH=" + runtime.GOARCH}
}

// unpackModule writes the embedded module to a folder below dir, under the names that Go wants.
func unpackModule(name, dir string) (string, error) {
	src := filepath.Join(dir, "src")
	if err := os.Mkdir(src, 0o755); err != nil {
		return "", err
	}
	from := path.Join("modules", name)
	entries, err := fs.ReadDir(modules, from)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		text, err := fs.ReadFile(modules, path.Join(from, e.Name()))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(src, strings.TrimSuffix(e.Name(), ".txt")), text, 0o644); err != nil {
			return "", err
		}
	}
	return src, nil
}

// pause holds a Pod's namespaces. It is C, because every Pod has one: 0.7 MB instead of 3, and no runtime's threads.
var pause = part{
	name: "pause", inputs: []string{"1", hashFiles(files, "files/pause.c")}, expect: time.Second, needs: []tool{cCompiler},
	make: func(ctx context.Context, b *Builder, dir string) error {
		text, err := files.ReadFile("files/pause.c")
		if err != nil {
			return err
		}
		src := filepath.Join(dir, "pause.c")
		if err := os.WriteFile(src, text, 0o644); err != nil {
			return err
		}
		if _, err := b.run(ctx, command{dir: dir, argv: []string{"gcc", "-Os", "-static", "-s", "-o", "pause", "pause.c"}}); err != nil {
			return err
		}
		return os.Remove(src)
	},
}

func removeAll(paths ...string) error {
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			return err
		}
	}
	return nil
}
