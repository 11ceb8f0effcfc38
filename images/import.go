package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// errSource marks an archive that could not be written: a layer's file that is gone, or not what it was.
var errSource = errors.New("read what is to be loaded")

// errEnded is why an archive isn't written on: the import that read it has ended.
var errEnded = errors.New("the import has ended")

// importArchive streams what a plan sends into the containerd of all nodes, which unpack it, and returns the errors of
// those that failed.
func importArchive(ctx context.Context, nodes Nodes, p plan) map[string]error {
	what := fmt.Sprintf("load %d images", len(p.send))
	if len(p.send) == 1 {
		what = "load " + p.send[0].ref
	}
	total := p.report.Bytes
	to := fanOut{}
	from := map[string]*io.PipeReader{}
	for name := range nodes {
		from[name], to[name] = io.Pipe()
	}
	written := make(chan error, 1)
	go func() {
		err := writeArchive(&meter{w: to, report: func(n int64) {
			progress.Report(ctx, progress.Update{What: what, Done: min(n, total), Total: total, Unit: "bytes"})
		}}, p.send, p.blobs)
		to.close(err)
		written <- err
	}()
	failed := nodes.each(func(name string, node Node) error {
		_, err := node.Exec(ctx, from[name], "ctr", "-n", namespace, "images", "import",
			// One platform, and unpacked at once: what is missing is found now, not by the first Pod.
			"--platform", p.send[0].parts.platform.String(), "--snapshotter", snapshotter, "-")
		from[name].CloseWithError(errEnded)
		return err
	})
	writeErr := <-written
	errs := map[string]error{}
	for name := range nodes {
		err := failed[name]
		if writeErr != nil && !errors.Is(writeErr, errEnded) {
			// The cause of whatever the node says of a broken stream; and a part of an archive is no success.
			err = errors.Join(fmt.Errorf("%w: %w", errSource, writeErr), err)
		} else if to[name] == nil && err == nil {
			err = errEnded
		}
		if err != nil {
			errs[name] = fmt.Errorf("import into the node: %w", err)
		}
	}
	return errs
}

// fanOut writes the same to several readers, each at the pace of the slowest. One that is gone is left out from then on;
// when all are, writing fails.
type fanOut map[string]*io.PipeWriter

func (f fanOut) Write(p []byte) (int, error) {
	for name, w := range f {
		if _, err := w.Write(p); err != nil {
			delete(f, name)
		}
	}
	if len(f) == 0 {
		return 0, errEnded
	}
	return len(p), nil
}

func (f fanOut) close(err error) {
	for _, w := range f {
		w.CloseWithError(err)
	}
}

// meter reports how much went through it, at steps that a screen can follow.
type meter struct {
	w        io.Writer
	n, shown int64
	report   func(int64)
}

const meterStep = 4 << 20

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.n += int64(n)
	if m.n-m.shown >= meterStep {
		m.shown = m.n
		m.report(m.n)
	}
	return n, err
}
