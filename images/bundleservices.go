package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Pack adds all that a machine without a network needs to build services, or not to have to: images of Python services and
// their bases, the library's wheel, binaries of Go services and their modules. What isn't built is built first.
func (b Builders) Pack(ctx context.Context, p *Packer, services []Service) error {
	var goServices []Service
	for _, s := range services {
		if s.Language == Go {
			goServices = append(goServices, s)
			continue
		}
		python, ok := b.Python.(*PythonBuilder)
		if !ok {
			return fmt.Errorf("pack %s: nothing is known of how it is built", s.Name)
		}
		if err := python.pack(ctx, p, s); err != nil {
			return fmt.Errorf("pack %s: %w", s.Name, err)
		}
	}
	if len(goServices) == 0 {
		return nil
	}
	if err := b.Go.pack(ctx, p, goServices); err != nil {
		return fmt.Errorf("pack the Go services: %w", err)
	}
	return nil
}

// pack adds the image that the engine has, or now builds, of just the sources as they are; layers that hold later changes
// of them are not in the engine.
func (b *PythonBuilder) pack(ctx context.Context, p *Packer, svc Service) error {
	if err := os.MkdirAll(b.builtDir(), 0o755); err != nil {
		return err
	}
	in, err := b.inputs(ctx, svc)
	if err != nil {
		return err
	}
	if _, err := b.withEngine(ctx, svc, in); err != nil {
		return err
	}
	id, err := b.find(ctx, in)
	if err == nil && id == "" {
		err = errChanging
	}
	if err != nil {
		return err
	}
	for _, base := range in.from.chosen {
		progress.Report(ctx, progress.Update{What: "pack " + base.Ref})
		if err := p.AddImage(ctx, BundleImage{Role: RoleBase, Name: base.Wanted, Wanted: base.Wanted, Ref: base.Ref}, base.ID); err != nil {
			return err
		}
	}
	progress.Report(ctx, progress.Update{What: "pack " + svc.Name})
	ref := fmt.Sprintf(ourNames+"bundled-%s:%s", strings.ToLower(svc.Name), in.anywhere()[:12])
	if err := p.AddImage(ctx, BundleImage{Role: RoleService, Name: svc.Name, Ref: ref}, id); err != nil {
		return err
	}
	if in.lib.dir == "" {
		return nil
	}
	at := "python/" + in.lib.anywhere
	if slices.ContainsFunc(p.bundle.Files, func(f BundleFile) bool { return strings.HasPrefix(f.Path, at+"/") }) {
		return nil
	}
	return p.addTree(BundleFile{Role: RoleLibrary, Path: at}, in.lib.dir)
}

// pack adds the services' binaries, under the hash of their sources, and the modules that the workspace's go.mod lists.
func (b *GoBuilder) pack(ctx context.Context, p *Packer, services []Service) error {
	before, err := b.sourcesHash()
	if err != nil {
		return err
	}
	if _, err := b.BuildAll(ctx, services); err != nil {
		return err
	}
	out, err := b.outDir()
	if err != nil {
		return err
	}
	if before != "" {
		for _, s := range services {
			f := BundleFile{Role: RoleService, Name: s.Name, Path: goBundledDir + "/" + before + "/" + filepath.Base(s.Dir), Executable: true}
			if err := p.AddFile(f, filepath.Join(out, filepath.Base(s.Dir))); err != nil {
				return err
			}
		}
		if after, err := b.sourcesHash(); err != nil || after != before {
			return errors.Join(errChanging, err)
		}
	}
	return b.packModules(ctx, p)
}

// packModules adds modules as a module proxy serves them: of those that are needed everything, and of those that are only
// looked at to choose versions their go.mod.
func (b *GoBuilder) packModules(ctx context.Context, p *Packer) error {
	progress.Report(ctx, progress.Update{What: "pack the Go modules"})
	root, err := b.goCommand(ctx, "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	root = []byte(filepath.Join(strings.TrimSpace(string(root)), "cache", "download"))
	added := map[string]bool{}
	add := func(file string) error {
		rel, err := filepath.Rel(string(root), file)
		if err != nil || file == "" || added[rel] {
			return err
		}
		added[rel] = true
		return p.AddFile(BundleFile{Role: RoleModules, Path: goModulesDir + "/" + filepath.ToSlash(rel)}, file)
	}
	listed, err := b.goCommand(ctx, "mod", "download", "-json")
	if err != nil {
		return err
	}
	for d := json.NewDecoder(bytes.NewReader(listed)); ; {
		var m struct{ Info, GoMod, Zip string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read what `go mod download` lists: %w", err)
		}
		if err := errors.Join(add(m.Info), add(m.GoMod), add(m.Zip)); err != nil {
			return err
		}
	}
	graph, err := b.goCommand(ctx, "mod", "graph")
	if err != nil {
		return err
	}
	for _, word := range strings.Fields(string(graph)) {
		path, version, ok := strings.Cut(word, "@")
		file := filepath.Join(string(root), filepath.FromSlash(moduleFile(path, version, "mod")))
		if ok && exists(file) {
			if err := add(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// goCommand runs the go command in the workspace's module.
func (b *GoBuilder) goCommand(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = filepath.Join(b.Workspace, "go"), b.environ()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, &fault.Exec{Argv: append([]string{"go"}, args...), Tail: fault.Tail(errs.Bytes(), 10), Err: err}
	}
	return out, nil
}
