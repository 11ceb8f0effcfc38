package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// folder is the snapshot of one watched folder.
type folder struct {
	files   map[string]stamp
	folders map[string]bool
}

// stamp tells two states of a file apart without reading it.
type stamp struct {
	size  int64
	time  int64 // of the last write, ns
	mode  fs.FileMode
	inode uint64 // another file of the same size and time may have been moved here: a checkout writes many in one tick
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), time: info.ModTime().UnixNano(), mode: info.Mode()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// watcher is the state of the one goroutine that watches.
type watcher struct {
	cfg    Config
	tune   tuning
	listed map[string]bool // the folders to watch
	above  map[string]bool // those between them and the root
	rules  rules

	source     *source      // of events; nil when polling
	ticks      *time.Ticker // when polling
	unanswered *time.Timer  // runs while the probe's event is awaited

	folders map[string]*folder // the snapshot, by path; a folder in it is being watched
	dirty   map[string]change
	first   time.Time // when the first of dirty was seen
	lost    bool      // events were lost since the last batch
	quiet   *time.Timer
	ready   Batch // waits for the reader when it has files

	complained map[string]bool // of folders
}

func (w *watcher) abs(rel string) string { return filepath.Join(w.cfg.Root, filepath.FromSlash(rel)) }

// wanted reports whether a name in a watched folder is looked at.
func (w *watcher) wanted(rel string, dir bool) bool {
	switch {
	case w.listed[rel]:
		return true
	case w.above[rel]:
		return dir
	case w.above[path.Dir(rel)]:
		return false
	}
	return !w.rules.ignored(rel, dir)
}

// isFolder reports whether a name is a folder. A listed folder may be a link to one.
func (w *watcher) isFolder(rel string, mode fs.FileMode) bool {
	if mode&fs.ModeSymlink != 0 && (w.listed[rel] || w.above[rel]) {
		info, err := os.Stat(w.abs(rel))
		return err == nil && info.IsDir()
	}
	return mode.IsDir()
}

// look compares a folder and everything below with the snapshot, marks what differs, and watches what isn't yet. The
// order matters: watch, then read, so that what is created in between is seen by one of the two.
func (w *watcher) look(dir string) error {
	if err := w.source.add(w.abs(dir)); err != nil {
		if limit := limitError(err); limit != nil {
			return limit
		}
		w.complain(dir, err)
	}
	entries, err := os.ReadDir(w.abs(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		w.forget(dir, true)
		return nil
	}
	if err != nil {
		w.complain(dir, err) // which doesn't mean that what was in it is gone
		return nil
	}
	at := w.folders[dir]
	if at == nil {
		at = &folder{files: map[string]stamp{}, folders: map[string]bool{}}
		w.folders[dir] = at
		if up := w.folders[path.Dir(dir)]; up != nil && dir != "." {
			up.folders[path.Base(dir)] = true
		}
	}
	w.rules.refresh(w.abs(dir), dir, !w.above[dir])
	there := make(map[string]bool, len(entries)) // what is wanted, and whether it is a folder
	for _, e := range entries {
		rel := path.Join(dir, e.Name())
		isFolder := w.isFolder(rel, e.Type())
		if !w.wanted(rel, isFolder) {
			continue
		}
		there[e.Name()] = isFolder
		if isFolder {
			if err := w.look(rel); err != nil {
				return err
			}
			continue
		}
		if info, err := e.Info(); err == nil && tracked(info.Mode()) && at.files[e.Name()] != stampOf(info) {
			w.touch(rel, true)
		}
	}
	for name := range at.folders {
		if !there[name] {
			rel := path.Join(dir, name)
			w.forget(rel, w.wanted(rel, true))
		}
	}
	for name := range at.files {
		rel := path.Join(dir, name)
		if isFolder, ok := there[name]; ok && !isFolder {
			continue
		}
		if w.wanted(rel, false) {
			w.touch(rel, true)
		} else {
			delete(at.files, name) // ignored since the rules changed
		}
	}
	return nil
}

// complain tells people, once, that a folder can't be watched or read.
func (w *watcher) complain(dir string, err error) {
	if !w.complained[dir] {
		w.complained[dir] = true
		w.cfg.Log(fmt.Sprintf("changes in %s may be missed: %v", w.abs(dir), err))
	}
}

// forget drops a folder and everything below from the snapshot, and stops watching it. Its files are marked, unless
// it only has become one of those that are ignored.
func (w *watcher) forget(dir string, mark bool) {
	w.source.remove(w.abs(dir))
	at := w.folders[dir]
	if at == nil {
		return
	}
	for name := range at.folders {
		w.forget(path.Join(dir, name), mark)
	}
	for name := range at.files {
		if mark {
			w.touch(path.Join(dir, name), true)
		}
	}
	delete(w.folders, dir)
	if up := w.folders[path.Dir(dir)]; up != nil {
		delete(up.folders, path.Base(dir))
	}
	w.rules.forget(dir)
}

// tracked reports whether a file of this kind can be a source: no sockets, pipes and devices.
func tracked(mode fs.FileMode) bool { return mode.IsRegular() || mode&fs.ModeSymlink != 0 }
