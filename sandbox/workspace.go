package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// chooseWorkspace returns the workspace (absolute path) that a command works on which needs no sandbox: the one named, else
// the sandbox's, else the one that the folder here lies in.
func chooseWorkspace(st State, here, named string) (dir string, err error) {
	dir = named
	if dir == "" {
		if record, err := st.Read(); err == nil {
			dir = record.Workspace
		} else if dir, err = FindWorkspace(here); err != nil {
			return "", err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	return dir, checkWorkspace(dir)
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
