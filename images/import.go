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

// importArchive streams what a plan sends into the node's containerd, which unpacks it.
func importArchive(ctx context.Context, node Node, p plan) error {
	what := fmt.Sprintf("load %d images", len(p.send))
	if len(p.send) == 1 {
		what = "load " + p.send[0].ref
	}
	total := p.report.Bytes
	r, w := io.Pipe()
	ended := errors.New("the import has ended")
	written := make(chan error, 1)
	go func() {
		err := writeArchive(&meter{w: w, report: func(n int64) {
			progress.Report(ctx, progress.Update{What: what, Done: min(n, total), Total: total, Unit: "bytes"})
		}}, p.send, p.blobs)
		w.CloseWithError(err)
		written <- err
	}()
	_, err := node.Exec(ctx, r, "ctr", "-n", namespace, "images", "import",
		// One platform, and unpacked at once: what is missing is found now, not by the first Pod.
		"--platform", p.send[0].parts.platform.String(), "--snapshotter", snapshotter, "-")
	r.CloseWithError(ended)
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, ended) {
		// The cause of whatever the node says of a broken stream; and a part of an archive is no success.
		err = errors.Join(fmt.Errorf("%w: %w", errSource, writeErr), err)
	} else if writeErr != nil && err == nil {
		err = writeErr
	}
	if err != nil {
		return fmt.Errorf("import into the node: %w", err)
	}
	return nil
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
