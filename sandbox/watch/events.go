package watch

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// handle marks what an event makes worth looking at.
//
// Events are handled in their order, and each as if it were the only one: the name may have changed again since. Then
// its next event is still to come.
func (w *watcher) handle(ev fsnotify.Event) {
	w.unanswered.Stop() // whatever it is, events arrive
	rel, err := filepath.Rel(w.cfg.Root, ev.Name)
	if err != nil {
		return
	}
	rel = filepath.ToSlash(rel)
	gone := ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)
	if rel == "." {
		if gone {
			w.poll(fmt.Sprintf("%s was removed or moved", w.cfg.Root))
		}
		return
	}
	dir, name := path.Dir(rel), path.Base(rel)
	if w.folders[dir] == nil {
		return // a straggler from a folder that was moved, or is ignored by now
	}
	if ignoreFile(name) && !ev.Op.Has(fsnotify.Chmod) {
		w.lookAgain(dir)
	}
	switch {
	case gone && w.folders[rel] != nil:
		w.forget(rel, true)
	case gone:
		if _, known := w.folders[dir].files[name]; known {
			w.touch(rel, true)
		}
	case ev.Has(fsnotify.Create):
		w.appeared(rel)
	case w.folders[rel] != nil:
		// A folder's own time or mode.
	case w.wanted(rel, false):
		w.touch(rel, ev.Has(fsnotify.Write))
	}
}

// appeared marks a new file, or watches a new folder and marks what is in it already.
func (w *watcher) appeared(rel string) {
	info, err := os.Lstat(w.abs(rel))
	if err != nil {
		return // gone again
	}
	isFolder := w.isFolder(rel, info.Mode())
	switch {
	case !w.wanted(rel, isFolder):
	case isFolder:
		w.lookAgain(rel)
	default:
		w.touch(rel, true)
	}
}

// lookAgain looks at a folder, and goes over to polling when it can't be watched.
func (w *watcher) lookAgain(dir string) {
	if err := w.look(dir); err != nil {
		w.poll(err.Error())
	}
}
