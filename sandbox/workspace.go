package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Folders of a workspace, relative to its root.
const (
	launchFilesDir = "configuration/etcd_launch_files"
	chartsDir      = "charts"
	scenariosDir   = "scenarios"
)

// Errors of the choice of a workspace.
var (
	ErrNoWorkspace    = errors.New("no workspace found")
	ErrOtherWorkspace = errors.New("the sandbox has another workspace")
)

// FindWorkspace returns the workspace (absolute path) that the folder dir lies in: the nearest folder, going up,
// that is laid out like one, or that has one in platform/.
func FindWorkspace(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		for _, candidate := range []string{at, filepath.Join(at, "platform")} {
			if checkWorkspace(candidate) == nil {
				return candidate, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%w: neither %s nor a folder above it has charts/ and %s/", ErrNoWorkspace, dir, launchFilesDir)
		}
	}
}

// checkWorkspace returns an error that says what a folder lacks to be a workspace.
func checkWorkspace(dir string) error {
	for _, sub := range []string{chartsDir, launchFilesDir, "go/cmd"} {
		if info, err := os.Stat(filepath.Join(dir, sub)); err != nil || !info.IsDir() {
			return fmt.Errorf("%w: %s has no folder %s", ErrNoWorkspace, dir, sub)
		}
	}
	return nil
}

// fingerprint tells two states of a workspace's sources apart without reading them: it hashes the name, size and
// time of every file that an image is built from.
func fingerprint(workspace string) (string, error) {
	h := sha256.New()
	for _, sub := range []string{"go", "python", "proto-files"} {
		root := filepath.Join(workspace, sub)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == root {
				return nil // a workspace need not have all of them
			}
			if err != nil {
				return err
			}
			name := d.Name()
			if d.IsDir() {
				if path != root && (strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules") {
					return fs.SkipDir
				}
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone since it was listed
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(h, "%s\x00%d\x00%d\x00%s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
			return err
		})
		if err != nil {
			return "", fmt.Errorf("look through the workspace's sources: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
