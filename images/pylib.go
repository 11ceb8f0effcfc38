package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// library is what the workspace's Python library gives to a service's build.
type library struct {
	wheel      string // file; "": the workspace has no library
	dir        string // the folder that the build made, with the wheel in it; "": none
	anywhere   string // the name of such a folder on any machine
	protofiles string // folder of generated modules; "": none
}

// library builds the workspace's Python library into a wheel, in a container of the services' own base so that this
// machine needs no Python, and once for each state of the library's sources. Generated protobuf modules that lie
// beside the library are used as they are; where there are none, they are generated in the same build.
func (b *PythonBuilder) library(ctx context.Context, from sources) (library, error) {
	folder, err := PythonLibrary(b.Workspace)
	if err != nil || folder == "" {
		return library{}, err
	}
	var lib library
	if sources, _ := filepath.Glob(filepath.Join(folder, "protofiles", "*_pb2.py")); len(sources) > 0 {
		lib.protofiles = filepath.Join(folder, "protofiles")
	}
	if from.base == "" {
		return lib, errors.New("the Dockerfile has no base image to build it in")
	}
	build := contextTree{}
	if err := build.addFolder(&b.memory.files, folder, "lib", "protofiles", "build", "dist", "tests"); err != nil {
		return lib, err
	}
	generate := ""
	if protos := filepath.Join(b.Workspace, "proto-files"); lib.protofiles == "" && exists(protos) {
		if err := build.addFolder(&b.memory.files, protos, "proto"); err != nil {
			return lib, err
		}
		generate = grpcTools(folder)
	}
	build.addContent([]byte(libraryDockerfile(from.base, generate, pipMounts)), "Dockerfile")
	hash := build.hash(from.salt()...)[:16]
	out := filepath.Join(b.dir(), "wheel-"+hash)
	pip := from.pip
	from.pip = pipSettings{}
	lib.anywhere = "wheel-" + build.hash(from.salt()...)[:16]
	if carried := filepath.Join(b.dir(), lib.anywhere); b.Bases.Offline && !exists(out) {
		if !exists(carried) {
			return lib, fmt.Errorf("its wheel is not in the cache: %w", ErrOffline)
		}
		out = carried
	}
	if !exists(out) {
		if err := b.makeLibrary(ctx, build, out, hash, pip); err != nil {
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
	lib.wheel, lib.dir = wheels[0], out
	return lib, nil
}

// makeLibrary builds a library into the folder out, unless somebody else just did.
func (b *PythonBuilder) makeLibrary(ctx context.Context, build contextTree, out, hash string, pip pipSettings) error {
	// Two services of a workspace are built at the same time, but their library once.
	unlock, err := lockFile(ctx, filepath.Join(b.dir(), "library.lock"))
	if err != nil {
		return fmt.Errorf("wait for another build of it: %w", err)
	}
	defer unlock()
	if exists(out) {
		return nil
	}
	progress.Report(ctx, progress.Update{What: "build the Python library"})
	dir, err := scratchDir(b.dir(), "library-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build.write(dir); err != nil {
		return err
	}
	return b.buildLibrary(ctx, dir, out, hash, pip)
}

// PythonLibrary finds a workspace's library: the folder in python/ that is a package to install. "": it has none.
func PythonLibrary(workspace string) (folder string, err error) {
	python := filepath.Join(workspace, "python")
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
