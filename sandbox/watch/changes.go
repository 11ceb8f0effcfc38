package watch

import (
	"os"
	"path"
	"time"
)

// change is what is known of a name that must be looked at before the next batch.
type change struct {
	known bool // the file was in the snapshot when the batch began
	sure  bool // it changed, even if its stamp is the same: two writes can fall into one tick of the file system's clock
}

// touch marks a file for the next batch.
func (w *watcher) touch(rel string, sure bool) {
	c, ok := w.dirty[rel]
	if !ok {
		if at := w.folders[path.Dir(rel)]; at != nil {
			_, c.known = at.files[path.Base(rel)]
		}
	}
	c.sure = c.sure || sure
	w.dirty[rel] = c
	w.wait()
}

// clockTick is how far a file's time can lag behind its last write: the kernel takes it from a clock that it sets 100 to
// 1000 times a second.
const clockTick = 10 * time.Millisecond

// settle compares the marked files with the snapshot, brings it up to date and returns those that changed, and when
// the first of them was seen.
func (w *watcher) settle() (changed []string, first time.Time) {
	for rel, c := range w.dirty {
		at, name := w.folders[path.Dir(rel)], path.Base(rel)
		info, err := os.Lstat(w.abs(rel))
		switch {
		case at == nil: // its folder is gone, or to be looked at when the event of its coming is handled
			if c.known {
				changed = append(changed, rel)
			}
		case err != nil || !tracked(info.Mode()):
			if delete(at.files, name); c.known {
				changed = append(changed, rel)
			}
		default:
			if c.sure || at.files[name] != stampOf(info) {
				changed = append(changed, rel)
			}
			at.files[name] = stampOf(info)
			if age := time.Since(info.ModTime()); w.source == nil && age >= 0 && age < clockTick {
				at.files[name] = stamp{} // without events, a write in the same tick would go unseen: look again next time
			}
		}
	}
	clear(w.dirty)
	w.quiet.Stop()
	first, w.first = w.first, time.Time{}
	return changed, first
}
