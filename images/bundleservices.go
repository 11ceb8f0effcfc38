package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// carrier is a builder whose services can be carried to a machine without a network.
type carrier interface {
	// pack adds all that services are built of, and what they are now. What isn't built is built first.
	pack(ctx context.Context, p *Packer, services []Service) error
	// lacks returns what building services offline takes and this machine hasn't, as far as it can be told before.
	lacks(ctx context.Context, services []Service) ([]Lack, error)
}

var _, _, _, _ carrier = (*GoBuilder)(nil), (*PythonBuilder)(nil), (*DockerfileBuilder)(nil), (*CommandBuilder)(nil)

// carrierOf finds the one that is behind a builder's decorators; nil: none is.
func carrierOf(builder any) carrier {
	switch b := builder.(type) {
	case carrier:
		return b
	case Recorded:
		return carrierOf(b.Builder)
	case *Cached:
		return carrierOf(b.Builder)
	case Limited:
		return carrierOf(b.Each)
	}
	return nil
}

// byLanguage are services with one language after the other.
func byLanguage(services []Service) map[string][]Service {
	groups := map[string][]Service{}
	for _, s := range services {
		groups[s.Language] = append(groups[s.Language], s)
	}
	return groups
}

// Pack adds all that a machine without a network needs to build services, or not to have to: images of services and their
// bases, the Python library's wheel, binaries of Go services and their modules. What isn't built is built first.
func (b Builders) Pack(ctx context.Context, p *Packer, services []Service) error {
	groups := byLanguage(services)
	for _, language := range slices.Sorted(maps.Keys(groups)) {
		names := strings.Join(serviceNames(groups[language]), ", ")
		c := carrierOf(b[language])
		if c == nil {
			return fmt.Errorf("pack %s: nothing is known of how it is built", names)
		}
		if err := c.pack(ctx, p, groups[language]); err != nil {
			return fmt.Errorf("pack %s: %w", names, err)
		}
	}
	return nil
}

// pack adds the services' binaries, under the hash of their sources, and the modules that the workspace's go.mod lists.
func (b *GoBuilder) pack(ctx context.Context, p *Packer, services []Service) error {
	before, err := b.sourcesHash()
	if err != nil {
		return err
	}
	if _, err := b.Build(ctx, services...); err != nil {
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
