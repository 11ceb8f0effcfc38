package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/build"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// GoBuilder builds Go services with the host's compiler: one binary in one layer on nothing, no engine involved.
type GoBuilder struct {
	Workspace string // its module is in the folder go
	Cache     string // folder for binaries
	Offline   bool   // use no network: modules that aren't on this machine are an error
	Debug     bool   // for a debugger: nothing optimised away, and with the tables that it reads
}

var _ Builder = (*GoBuilder)(nil)

// Build builds services with one run of the compiler, which shares their common packages and keeps all
// cores busy. When that fails, each is built by itself: those without a mistake are returned, together with a
// *[BuildError] for each cause, which holds a *fault.Exec with the compiler's output whole.
func (b *GoBuilder) Build(ctx context.Context, services ...Service) ([]Built, error) {
	if dir, err := b.bundled(services); err != nil {
		return nil, &BuildError{Services: serviceNames(services), Err: err}
	} else if dir != "" {
		built, failed := b.images(services, dir, make([]error, len(services)))
		return built, byCause(services, failed)
	}
	out, err := b.outDir()
	if err != nil {
		return nil, err
	}
	// Two sandboxes may stand on one workspace: what one links, the other must not read half.
	unlock, err := lockFile(ctx, out+".lock")
	if err != nil {
		return nil, fmt.Errorf("wait for another build of the same workspace: %w", err)
	}
	defer unlock()
	progress.Report(ctx, progress.Update{What: "compile " + strings.Join(serviceNames(services), ", ")})
	began := time.Now()
	failed := make([]error, len(services)) // by service
	var exit *exec.ExitError
	if err := b.compile(ctx, out, services...); len(services) > 1 && errors.As(err, &exit) && ctx.Err() == nil {
		b.compileEach(ctx, out, services, failed)
	} else if err != nil {
		return nil, &BuildError{Services: serviceNames(services), Err: err}
	}
	for i, s := range services {
		failed[i] = cmp.Or(failed[i], b.checkMain(s))
	}
	built, failed := b.images(services, out, failed)
	for i := range built {
		built[i].Took = time.Since(began)
	}
	return built, byCause(services, failed)
}

// images makes the images of the services whose binaries are in a folder, but for those that failed before. It returns
// who failed then.
func (b *GoBuilder) images(services []Service, dir string, failed []error) ([]Built, []error) {
	var built []Built
	for i, s := range services {
		if failed[i] != nil {
			continue
		}
		img, err := b.image(s.Name, filepath.Join(dir, filepath.Base(s.Dir)))
		if err != nil {
			failed[i] = fmt.Errorf("make image: %w", err)
			continue
		}
		built = append(built, Built{Service: s, Image: img})
	}
	return built, failed
}

// compile runs the compiler once for services, and leaves their binaries in the folder out.
func (b *GoBuilder) compile(ctx context.Context, out string, services ...Service) error {
	// No DWARF: it makes up a third of a binary, and panics keep their traces without it.
	flags := "-ldflags=-w"
	if b.Debug {
		flags = "-gcflags=all=-N -l"
	}
	argv := []string{"go", "build", "-trimpath", "-buildvcs=false", flags,
		// A folder that exists: the binaries get their packages' names, and those that are up to date are not linked again.
		"-o", out + string(filepath.Separator)}
	for _, s := range services {
		argv = append(argv, "./"+strings.TrimPrefix(s.Dir, "go/"))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = filepath.Join(b.Workspace, "go")
	cmd.Env = b.environ()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return &fault.Exec{Argv: argv, Tail: fromWorkspace(strings.TrimSpace(output.String())), Err: cmp.Or(ctx.Err(), err)}
	}
	return nil
}

// compilerPlace matches the file in a line of the compiler's, which is relative to the module's folder.
var compilerPlace = regexp.MustCompile(`(?m)^(\s*(?:vet: )?)([^\s/:][^\s:]*\.go:\d+)`)

// fromWorkspace makes the files in the compiler's lines relative to the workspace, as those of all other errors are.
func fromWorkspace(lines string) string {
	return compilerPlace.ReplaceAllStringFunc(lines, func(at string) string {
		m := compilerPlace.FindStringSubmatch(at)
		return m[1] + path.Join("go", m[2])
	})
}

// compileEach compiles each service by itself, to tell those with a mistake from the others. What compiles was compiled
// by the run that failed, for the most part, so that this takes little.
func (b *GoBuilder) compileEach(ctx context.Context, out string, services []Service, failed []error) {
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i, s := range services {
		g.Go(func() error {
			failed[i] = b.compile(ctx, out, s)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the functions note their errors
}

// checkMain returns an error for a service that is no command any more: beside others that are, the compiler passes it
// over without a word, and the binary of an earlier build still lies there.
func (b *GoBuilder) checkMain(s Service) error {
	target := build.Default
	target.GOOS, target.GOARCH, target.CgoEnabled = "linux", runtime.GOARCH, false
	pkg, err := target.ImportDir(filepath.Join(b.Workspace, filepath.FromSlash(s.Dir)), 0)
	if err == nil && pkg.Name != "main" { // else the compiler, which knows all build tags, has the word
		return fmt.Errorf("%s is package %s, not main: no binary is made of it", s.Dir, pkg.Name)
	}
	return nil
}

// byCause joins the errors of services. Those for which the compiler says the same are one: a mistake in a package that
// they share.
func byCause(services []Service, failed []error) error {
	var causes []error
	said := map[string]*BuildError{} // by the compiler's lines
	for i, err := range failed {
		if err == nil {
			continue
		}
		var run *fault.Exec
		if errors.As(err, &run) {
			if same := said[run.Tail]; same != nil {
				same.Services = append(same.Services, services[i].Name)
				continue
			}
		}
		cause := &BuildError{Services: []string{services[i].Name}, Err: err}
		causes = append(causes, cause)
		if run != nil {
			said[run.Tail] = cause
		}
	}
	return errors.Join(causes...)
}

// outDir is where this workspace's binaries go: two checkouts must not write to the same files.
func (b *GoBuilder) outDir() (string, error) {
	workspace, err := pathHash(b.Workspace)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, "go", workspace)
	return dir, os.MkdirAll(dir, 0o755)
}

// keptBinaries is how many versions of a service's binary are kept: the one just built, and those that an image
// which is being loaded may still be read from.
const keptBinaries = 3

// image makes the image of one binary. The layer is read from a second link to it, so that the next build of the
// service doesn't change an image that somebody holds.
func (b *GoBuilder) image(service, binary string) (v1.Image, error) {
	hash, err := fileHash(binary)
	if err != nil {
		return nil, err
	}
	dir := binary + ".versions"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	kept := filepath.Join(dir, hash.Hex)
	if err := os.Link(binary, kept); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	now := time.Now()
	if err := os.Chtimes(kept, now, now); err != nil {
		return nil, err
	}
	if err := keepNewest(filepath.Join(dir, "*"), keptBinaries); err != nil {
		return nil, err
	}
	l, err := streamLayer(func(w io.Writer) error { return writeBinaryLayer(w, service, kept) })
	if err != nil {
		return nil, err
	}
	return assemble(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, v1.Config{
		Cmd:        []string{"/app/" + service},
		Env:        []string{"PATH=/app"},
		WorkingDir: "/app",
	}, l)
}

// writeBinaryLayer writes the file system of a Go service: its binary, and a /tmp. Times and owners are zero, so that
// equal content has an equal digest. There are no certificates: DYNAMOS services speak plain HTTP, gRPC and AMQP, and
// the API server's own certificate is mounted into the Pods that talk to it. This machine's would make another image on
// every machine, and put a company's own into it.
func writeBinaryLayer(w io.Writer, service, binary string) error {
	f, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	epoch := time.Unix(0, 0)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755, ModTime: epoch},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777, ModTime: epoch},
		{Typeflag: tar.TypeReg, Name: "app/" + service, Mode: 0o755, Size: info.Size(), ModTime: epoch},
	} {
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
	}
	if _, err := io.Copy(tw, f); err != nil {
		return err
	}
	return tw.Close()
}

// keepNewest removes all but the n newest of the files and folders that match a pattern.
func keepNewest(pattern string, n int) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	times := map[string]time.Time{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		times[path] = info.ModTime()
	}
	slices.SortFunc(paths, func(a, b string) int { return times[b].Compare(times[a]) })
	for _, path := range paths[min(n, len(paths)):] {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
