package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// listedPackage is what the go command says about a package. Each field costs it time; these are had for nothing.
type listedPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Imports    []string
	goEmbed

	dir string // Dir relative to the workspace, with slashes; "" when it lies outside
}

// goEmbed is what a package embeds, relative to its folder.
type goEmbed struct {
	EmbedPatterns []string
	EmbedFiles    []string
}

// listGo lists the packages that the services' mains import, directly or not, in the way in which GoBuilder compiles
// them. Errors in sources are passed over; when the module itself can't be read, nothing is listed.
func listGo(ctx context.Context, workspace string, services []Service) ([]listedPackage, error) {
	workspace, err := filepath.Abs(workspace)
	if err != nil {
		return nil, err
	}
	argv := []string{"go", "list", "-e", "-deps", "-json=ImportPath,Dir,Standard,Imports,EmbedPatterns,EmbedFiles"}
	for _, s := range services {
		argv = append(argv, "./"+strings.TrimPrefix(s.Dir, "go/"))
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = filepath.Join(workspace, "go")
	// Environ, not os.Environ: it holds PWD, from which the go command knows the folder by the name used here. Modules
	// that are not on this machine aren't waited for: they import nothing of the workspace.
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOTOOLCHAIN=local", "GOPROXY=off", "GONOPROXY=none")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, nil // a go.mod that is being written, say: the compiler will tell
	case err != nil:
		return nil, fmt.Errorf("list Go packages: %w", err)
	}
	var listed []listedPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listedPackage
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return listed, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the list of Go packages: %w", err)
		}
		if rel, err := filepath.Rel(workspace, l.Dir); err == nil && !l.Standard && filepath.IsLocal(rel) {
			l.dir = filepath.ToSlash(rel)
		}
		listed = append(listed, l)
	}
}

// embeds reports whether a file, or a folder that was removed, is embedded.
func (e goEmbed) embeds(rel string) bool {
	if slices.ContainsFunc(e.EmbedFiles, func(f string) bool { return within(f, rel) }) {
		return true
	}
	// A new file is in no list yet. A pattern that matches a folder stands for what is in it, hidden files aside.
	parts := strings.Split(rel, "/")
	for _, pattern := range e.EmbedPatterns {
		pattern, hidden := strings.CutPrefix(pattern, "all:")
		for i := range parts {
			matched, err := path.Match(pattern, path.Join(parts[:i+1]...))
			if err == nil && matched && (hidden || !slices.ContainsFunc(parts[i+1:], startsHidden)) {
				return true
			}
		}
	}
	return false
}

func startsHidden(name string) bool { return name[0] == '.' || name[0] == '_' }
