package watch

import (
	"context"
	"slices"
	"time"
)

// begin takes the first snapshot, watching what it finds.
func (w *watcher) begin() error {
	if w.cfg.Poll {
		w.poll("it was asked for")
	} else if reason := w.cannotArrive(); reason != "" {
		w.poll(reason)
	} else {
		var err error
		if w.source, err = openSource(); err != nil {
			return orLimit(err)
		}
	}
	if err := w.look("."); err != nil {
		w.source.close()
		return err
	}
	w.settle()
	w.askForEvents()
	return nil
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context, out chan<- Batch) {
	defer close(out)
	defer w.end()
	for {
		// A nil channel is never ready: no batch waits, events aren't watched, or it isn't polled.
		var reader chan<- Batch
		if len(w.ready.Files) > 0 {
			reader = out
		}
		var ticks <-chan time.Time
		if w.ticks != nil {
			ticks = w.ticks.C
		}
		select {
		case <-ctx.Done():
			return
		case ev, ok := <-w.source.events():
			if ok {
				w.handle(ev)
			}
		case err := <-w.source.losses():
			w.cfg.Log("events were lost, comparing everything: " + err.Error())
			w.lost = true
			w.wait()
		case <-w.unanswered.C:
			w.poll("events don't arrive in " + w.cfg.Root)
		case <-ticks:
			if len(w.dirty) == 0 { // else what is marked would be marked again, and the batch put off
				w.lookAgain(".")
			}
		case <-w.quiet.C:
			w.complete()
		case reader <- w.ready:
			w.ready = Batch{}
		}
	}
}

// wait puts the batch off until it has been quiet for a while, though not beyond the cap.
func (w *watcher) wait() {
	now := time.Now()
	if w.first.IsZero() {
		w.first = now
	}
	w.quiet.Reset(min(w.cfg.Quiet, w.first.Add(w.cfg.Cap).Sub(now)))
}

// complete makes the marked changes part of the batch that waits for the reader.
func (w *watcher) complete() {
	lost := w.lost
	if lost {
		w.lost = false
		w.reopen()
	}
	files, first := w.settle()
	if len(files) == 0 {
		return
	}
	if len(w.ready.Files) > 0 {
		first = w.ready.First
	}
	files = append(files, w.ready.Files...)
	slices.Sort(files)
	w.ready = Batch{Files: slices.Compact(files), First: first, Rescan: lost || w.ready.Rescan}
}

// reopen begins anew with the events and marks what differs from the snapshot. With a fresh source it doesn't matter
// which folders came, went or were moved unseen.
func (w *watcher) reopen() {
	if w.source == nil {
		w.lookAgain(".")
		return
	}
	w.source.close()
	var err error
	if w.source, err = openSource(); err != nil {
		w.source = nil
		w.poll(orLimit(err).Error())
		return
	}
	w.lookAgain(".")
}

// poll goes over to comparing everything at intervals, and doesn't go back.
func (w *watcher) poll(reason string) {
	w.source.close()
	w.source = nil
	w.unanswered.Stop()
	if w.ticks == nil {
		w.ticks = time.NewTicker(w.tune.pollEvery)
		w.cfg.Log("polling every " + w.tune.pollEvery.String() + ", because " + reason)
	}
}

func (w *watcher) end() {
	w.source.close()
	w.quiet.Stop()
	w.unanswered.Stop()
	if w.ticks != nil {
		w.ticks.Stop()
	}
}

// stopped returns a timer that doesn't run.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
