package pyenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// ErrNoVenv tells of a Python without what environments are made with.
var ErrNoVenv = errors.New("this Python can't make virtual environments")

// Make makes the environment, unless it is as it should be. One that was made here of something else is made anew, so that
// nothing stays in it that isn't asked for; into one that a person made the packages are installed.
//
// A Make that breaks off leaves one that the next begins anew.
func (e *Environment) Make(ctx context.Context) error {
	if e.State == Current {
		return nil
	}
	ours := Ours(e.Dir) || !exists(e.Dir)
	switch {
	case ours:
		if err := e.create(ctx); err != nil {
			return err
		}
	case !exists(e.bin("python")):
		return fmt.Errorf("%s is no virtual environment: remove it, or have it elsewhere", e.Dir)
	default: // from here on it may be half of this and half of what it was
		if err := e.writeRecord(record{}); err != nil {
			return err
		}
	}
	if err := e.install(ctx); err != nil {
		return err
	}
	if err := e.writeRecord(record{Hash: e.hash, Ours: ours}); err != nil {
		return err
	}
	e.State = Made
	return nil
}

// create makes an empty environment.
func (e *Environment) create(ctx context.Context) error {
	progress.Report(ctx, progress.Update{What: "make " + e.Dir})
	if err := os.RemoveAll(e.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return err
	}
	if err := e.writeRecord(record{Ours: true}); err != nil {
		return err
	}
	if err := e.run(ctx, e.interpreter, "-m", "venv", e.Dir); err != nil {
		if failed := (*fault.Exec)(nil); errors.As(err, &failed) && noVenv.MatchString(failed.Tail) {
			return fmt.Errorf("%w: %w", ErrNoVenv, err)
		}
		return err
	}
	return os.WriteFile(filepath.Join(e.Dir, ".gitignore"), []byte("*\n"), 0o644) //nolint:gosec // no secret
}

var noVenv = regexp.MustCompile(`ensurepip is not|No module named (?:venv|ensurepip)`)

// install brings the packages into the environment, all at once, so that pip finds versions that go together.
func (e *Environment) install(ctx context.Context) error {
	scratch, err := os.MkdirTemp("", "dynsandbox-venv-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	argv := append([]string{"install"}, e.Packages...)
	wheel := ""
	if e.Library != "" {
		if wheel, err = e.libraryWheel(ctx, scratch); err != nil {
			return err
		}
		argv = append(argv, wheel)
	}
	for _, file := range e.Requirements {
		argv = append(argv, "-r", e.in(file))
	}
	if e.Protos != "" {
		argv = append(argv, "grpcio-tools")
	}
	if len(argv) > 1 {
		if err := e.pip(ctx, argv...); err != nil {
			return err
		}
	}
	generated := ""
	switch {
	case e.Generated != "":
		generated = e.in(e.Generated)
	case e.Protos != "":
		if generated, err = e.generate(ctx); err != nil {
			return err
		}
	}
	if wheel == "" {
		return nil
	}
	return e.link(ctx, wheel, generated)
}

// libraryWheel builds the library of a copy, as the tools leave files beside what they build.
func (e *Environment) libraryWheel(ctx context.Context, scratch string) (string, error) {
	progress.Report(ctx, progress.Update{What: "build the Python library"})
	sources := filepath.Join(scratch, "lib")
	if err := os.CopyFS(sources, os.DirFS(e.in(e.Library))); err != nil {
		return "", err
	}
	for _, left := range []string{"build", "dist"} { // an older build's modules would come along
		if err := os.RemoveAll(filepath.Join(sources, left)); err != nil {
			return "", err
		}
	}
	out := filepath.Join(scratch, "wheel")
	if err := e.pip(ctx, "wheel", "--no-deps", "--wheel-dir", out, sources); err != nil {
		return "", err
	}
	wheels, err := filepath.Glob(filepath.Join(out, "*.whl"))
	if err == nil && len(wheels) != 1 {
		err = fmt.Errorf("the build of %s made %d wheels instead of one", e.Library, len(wheels))
	}
	if err != nil {
		return "", err
	}
	return wheels[0], nil
}

// generate makes the protobuf modules that the workspace has none of, inside the environment.
func (e *Environment) generate(ctx context.Context) (string, error) {
	progress.Report(ctx, progress.Update{What: "generate the protobuf modules"})
	dir := filepath.Join(e.Dir, "protofiles")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	protos, err := fs.Glob(os.DirFS(e.in(e.Protos)), "*.proto")
	if err != nil {
		return "", err
	}
	argv := []string{e.bin("python"), "-m", "grpc_tools.protoc", "-I" + e.in(e.Protos), "--python_out=" + dir, "--grpc_python_out=" + dir}
	for _, p := range protos {
		argv = append(argv, filepath.Join(e.in(e.Protos), p))
	}
	return dir, e.run(ctx, argv...)
}

// link has the library and the generated modules used from where they lie: its installed modules go, what pip knows of the
// package stays, so that requirements for it are met.
func (e *Environment) link(ctx context.Context, wheel, generated string) error {
	out, err := exec.CommandContext(ctx, e.bin("python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").Output()
	if err != nil {
		return err
	}
	packages := strings.TrimSpace(string(out))
	parts := strings.SplitN(filepath.Base(wheel), "-", 3)
	info := parts[0] + "-" + parts[1] + ".dist-info"
	list, err := os.ReadFile(filepath.Join(packages, info, "RECORD"))
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(list)) {
		file, _, _ := strings.Cut(line, ",")
		if strings.HasPrefix(file, info+"/") || !filepath.IsLocal(file) {
			kept.WriteString(line)
			continue
		}
		at := filepath.Join(packages, filepath.FromSlash(file))
		if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for dir := filepath.Dir(at); dir != packages && os.Remove(dir) == nil; dir = filepath.Dir(dir) { // those that are empty now
		}
	}
	if err := os.WriteFile(filepath.Join(packages, info, "RECORD"), []byte(kept.String()), 0o644); err != nil { //nolint:gosec // no secret
		return err
	}
	paths := e.in(e.Library) + "\n"
	if generated != "" {
		paths += generated + "\n"
	}
	return os.WriteFile(filepath.Join(packages, "dynsandbox.pth"), []byte(paths), 0o644) //nolint:gosec // no secret
}

func (e *Environment) pip(ctx context.Context, argv ...string) error {
	return e.run(ctx, append([]string{e.bin("python"), "-m", "pip", "--disable-pip-version-check", argv[0], "--progress-bar", "off", "--no-input"}, argv[1:]...)...)
}

// doing are the lines of pip's that tell what it is at.
var doing = regexp.MustCompile(`^\s*(?:(Collecting) (\S+?)(?:[<>=!~;@ (].*)?|(Downloading) (\S+?)(?:\.metadata)? .*|(Installing collected packages).*|(Building wheel) for (\S+) .*)$`)

// run runs a command, and reports what it says that it is at.
func (e *Environment) run(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// What is in use while this runs doesn't count.
	cmd.Env = withoutVariables(os.Environ(), "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
	var said bytes.Buffer
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(io.TeeReader(read, &said))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := doing.FindStringSubmatch(lines.Text()); m != nil {
				progress.Report(ctx, progress.Update{What: strings.ToLower(strings.Join(strings.Fields(strings.Join(m[1:], " ")), " "))})
			}
		}
		io.Copy(io.Discard, read) //nolint:errcheck // a line that is too long: the rest isn't shown
	}()
	err := cmd.Run()
	write.Close()
	<-done
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &fault.Exec{Argv: argv, Tail: fault.Tail(said.Bytes(), 12), Err: err}
	}
	return nil
}

func withoutVariables(environ []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(names, name)
	})
}
