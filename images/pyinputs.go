package images

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
)

// pythonInputs are everything that goes into a Python service's image.
type pythonInputs struct {
	buildInputs
	shared  contextTree // the part of the context that is not from the service's folder
	lib     library
	written []byte // the Dockerfile in the order of the workspace's own
}

// inputs finds what goes into a service's image, and makes of it what isn't there: a stand-in, the library's wheel.
func (b *PythonBuilder) inputs(ctx context.Context, svc Service) (in pythonInputs, err error) {
	var content []byte
	if in.buildInputs, content, err = b.fromDockerfile(ctx, svc, b.dockerfile(svc)); err != nil {
		return in, err
	}
	if in.lib, err = b.library(ctx, in.from); err != nil {
		return in, fmt.Errorf("python library: %w", err)
	}
	if err := b.fillContext(&in, svc, content, in.lib); err != nil {
		return in, fmt.Errorf("look through the sources: %w", err)
	}
	return in, nil
}

// dockerfile is the one that all Python services share, else the service's own.
func (b *PythonBuilder) dockerfile(svc Service) string {
	if shared := "python/Dockerfile"; exists(filepath.Join(b.Workspace, shared)) {
		return shared
	}
	return svc.Dir + "/Dockerfile"
}

// fillContext lists the files that a service's build reads, and its arguments.
func (b *PythonBuilder) fillContext(in *pythonInputs, svc Service, dockerfile []byte, lib library) error {
	known := &b.memory.files
	in.shared = contextTree{}
	if err := in.context.addFolder(known, filepath.Join(b.Workspace, svc.Dir), "."); err != nil {
		return err
	}
	if lib.wheel != "" {
		in.args["WHEEL_NAME"] = filepath.Base(lib.wheel)
		if err := in.shared.addFile(known, lib.wheel, in.args["WHEEL_NAME"]); err != nil {
			return err
		}
	}
	if lib.protofiles != "" {
		if err := in.shared.addFolder(known, lib.protofiles, "protofiles"); err != nil {
			return err
		}
	}
	maps.Copy(in.context, in.shared)
	in.written = dockerfile
	in.shared.addContent(packagesFirst(dockerfile, in.args, in.bases, in.context), "Dockerfile")
	in.context["Dockerfile"] = in.shared["Dockerfile"]
	return nil
}
