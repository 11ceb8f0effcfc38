package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/watch"
)

// fileStates are the state of every file that a running platform depends on.
type fileStates struct {
	sources images.Sources
	others  map[string]string // launch files and charts, by path in the workspace
}

// readFileStates looks at the files of a workspace. It reads none.
func readFileStates(workspace string) (s fileStates, err error) {
	if s.sources, err = images.ReadSourceFiles(workspace); err != nil {
		return s, err
	}
	s.others = map[string]string{}
	for _, dir := range []string{chartsDir, launchFilesDir} {
		err := filepath.WalkDir(filepath.Join(workspace, dir), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone since it was listed
			}
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(workspace, p)
			s.others[filepath.ToSlash(rel)] = fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
			return err
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// with returns the states with those of some files as in others.
func (s fileStates) with(files []string, others fileStates) fileStates {
	return fileStates{sources: s.sources.With(files, others.sources), others: images.FilesWith(s.others, files, others.others)}
}

// changed returns the files of a workspace that differ from an earlier state, without those that the watcher doesn't tell of,
// such as an editor's own: they differ for good.
func (s fileStates) changed(workspace string, since fileStates) []string {
	files, _ := s.sources.Changed(since.sources)
	files = append(files, images.DifferingFiles(s.others, since.others)...)
	slices.Sort(files)
	return slices.DeleteFunc(files, func(f string) bool { return watch.LeavesOut(workspace, f) || belowLink(workspace, f) })
}

// belowLink reports whether a file is read by a link to a folder, somewhere in the workspace's folders: the watcher tells of it by
// where it is itself, if that is in the workspace at all.
func belowLink(workspace, file string) bool {
	for dir := path.Dir(file); path.Dir(dir) != "."; dir = path.Dir(dir) {
		if info, err := os.Lstat(filepath.Join(workspace, filepath.FromSlash(dir))); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
