package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/gofrs/flock"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// library is what the workspace's Python library gives to a service's build.
type library struct {
	wheel      string // file; "": the workspace has no library
	protofiles string // folder of generated modules; "": none
}

// library builds the workspace's Python library into a wheel, in a container of the services' own base so that this
// machine needs no Python, and once for each state of the library's sources. Generated protobuf modules that lie
// beside the library are used as they are; where there are none, they are generated in the same build.
func (b *PythonBuilder) library(ctx context.Context, bases []Choice, pip pipSettings) (library, error) {
	folder, err := b.libraryFolder()
	if err != nil || folder == "" {
		return library{}, err
	}
	var lib library
	if sources, _ := filepath.Glob(filepath.Join(folder, "protofiles", "*_pb2.py")); len(sources) > 0 {
		lib.protofiles = filepath.Join(folder, "protofiles")
	}
	if len(bases) == 0 {
		return lib, errors.New("the Dockerfile has no base image to build it in")
	}
	// Two services of a workspace are built at the same time, but their library once.
	lock := flock.New(filepath.Join(b.dir(), "library.lock"))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return lib, fmt.Errorf("wait for another build of it: %w", err)
	}
	defer lock.Close()
	dir, err := os.MkdirTemp(b.dir(), "library-")
	if err != nil {
		return lib, err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(folder, filepath.Join(dir, "lib"), "protofiles", "build", "dist", "tests"); err != nil {
		return lib, err
	}
	generate := ""
	if protos := filepath.Join(b.Workspace, "proto-files"); lib.protofiles == "" && exists(protos) {
		if err := copyTree(protos, filepath.Join(dir, "proto")); err != nil {
			return lib, err
		}
		generate = grpcTools(folder)
	}
	if err := writeFile(filepath.Join(dir, "Dockerfile"), []byte(libraryDockerfile(bases[len(bases)-1].Ref, generate, pipMounts(pip)))); err != nil {
		return lib, err
	}
	hash, err := treeHash(dir, buildSalt(bases, pip)...)
	if err != nil {
		return lib, err
	}
	out := filepath.Join(b.dir(), "wheel-"+hash[:16])
	if !exists(out) {
		progress.Report(ctx, progress.Update{What: "build the Python library " + filepath.Base(folder)})
		if err := b.buildLibrary(ctx, dir, out, hash[:16], pip); err != nil {
			return lib, err
		}
	}
	if lib.protofiles == "" && generate != "" {
		lib.protofiles = filepath.Join(out, "protofiles")
	}
	wheels, _ := filepath.Glob(filepath.Join(out, "*.whl"))
	if len(wheels) != 1 {
		return lib, fmt.Errorf("its build made %d wheels instead of one", len(wheels))
	}
	lib.wheel = wheels[0]
	return lib, nil
}

// libraryFolder finds the workspace's library: the folder in python/ that is a package to install.
func (b *PythonBuilder) libraryFolder() (string, error) {
	python := filepath.Join(b.Workspace, "python")
	names, err := subfolders(python)
	if err != nil {
		return "", err
	}
	var found []string
	for _, n := range names {
		if isLibrary(filepath.Join(python, n)) {
			found = append(found, n)
		}
	}
	switch {
	case len(found) == 0:
		return "", nil
	case len(found) > 1:
		return "", fmt.Errorf("several folders look like one: %s", strings.Join(found, ", "))
	}
	return filepath.Join(python, found[0]), nil
}

var grpcPin = regexp.MustCompile(`["']grpcio(?:-tools)?\s*([=<>~!]=?[^"']*)["']`)

// grpcTools returns the requirement for the generator of protobuf modules: the version that the library pins.
func grpcTools(folder string) string {
	for _, file := range []string{"setup.py", "pyproject.toml", "setup.cfg"} {
		b, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			continue
		}
		if m := grpcPin.FindSubmatch(b); m != nil {
			return "grpcio-tools" + string(m[1])
		}
	}
	return "grpcio-tools"
}

// libraryDockerfile makes /out: the wheel and, with a requirement for the generator, protofiles/.
func libraryDockerfile(base, generate, mounts string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s AS build\nENV SOURCE_DATE_EPOCH=%d\nCOPY lib /lib\n", base, contextTime.Unix())
	fmt.Fprintf(&b, "RUN %s pip wheel --no-deps --wheel-dir /out /lib\n", mounts)
	if generate != "" {
		fmt.Fprintf(&b, "COPY proto /proto\nRUN %s pip install 'setuptools<81' '%s' && mkdir /out/protofiles && "+
			"python -m grpc_tools.protoc -I/proto --python_out=/out/protofiles --grpc_python_out=/out/protofiles /proto/*.proto\n", mounts, generate)
	}
	// Nothing of it runs; a command is only needed to make a container of it, out of which files can be copied.
	b.WriteString("FROM scratch\nCOPY --from=build /out /out\nCMD [\"/none\"]\n")
	return b.String()
}

// keptWheels is how many states of libraries are kept: workspaces that share the cache, and a step back.
const keptWheels = 8

// buildLibrary runs the library's build in the engine, and copies what it made to the folder out, which appears when
// it is whole. Older wheels are removed.
func (b *PythonBuilder) buildLibrary(ctx context.Context, dir, out, hash string, pip pipSettings) error {
	id, err := buildInEngine(ctx, b.Docker, buildJob{
		what: "python library", context: dir, dockerfile: dir, secrets: pip.secrets(), tag: "dynsandbox/built-library:" + hash,
		labels: map[string]string{engine.LabelRole: "library"},
	})
	if err != nil {
		return err
	}
	cleanup := context.WithoutCancel(ctx)
	defer b.Docker.ImageRemove(cleanup, id, image.RemoveOptions{Force: true, PruneChildren: true}) //nolint:errcheck // a few kilobytes
	c, err := b.Docker.ContainerCreate(ctx, &container.Config{Image: id, Labels: map[string]string{engine.LabelRole: "library"}}, nil, nil, nil, "")
	if err != nil {
		return err
	}
	defer b.Docker.ContainerRemove(cleanup, c.ID, container.RemoveOptions{Force: true}) //nolint:errcheck // it never ran
	stream, _, err := b.Docker.CopyFromContainer(ctx, c.ID, "/out")
	if err != nil {
		return err
	}
	defer stream.Close()
	part := out + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := untar(stream, part); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(part, "out"), out); err != nil {
		return err
	}
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	return keepNewest(filepath.Join(b.dir(), "wheel-*"), keptWheels)
}

// untar writes the regular files of an archive into a folder.
func untar(r io.Reader, dir string) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("unexpected path %q in an archive", h.Name)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, tr)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}
