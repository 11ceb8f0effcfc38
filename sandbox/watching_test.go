package sandbox

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// A workspace that was replaced while the session runs is no longer watched, which is told; the next bring-up watches what
// is there by then.
func TestReplacedWorkspace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "workspace")
	create := func() {
		if err := os.MkdirAll(filepath.Join(dir, "go"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	create()
	s := &session{state: stateIn(t), base: t.Context(), events: newFeed(nil), log: slog.New(slog.DiscardHandler)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	s.holds.reloader = r
	if err := s.setWatch(true, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+"-old"); err != nil {
		t.Fatal(err)
	}
	create()
	told := errors.New("told")
	err := s.events.follow(t.Context(), 0, func(e *control.Event) error {
		if e.Kind == control.Event_REFUSED && e.Service == "" {
			return told
		}
		return nil
	})
	if !errors.Is(err, told) || !errors.Is(r.problem(""), ErrStale) {
		t.Fatalf("%v; problem: %v", err, r.problem(""))
	}
	if err := s.setWatch(true, dir); err != nil {
		t.Fatal(err)
	}
	defer s.holds.unwatch()
	now, err := os.Stat(dir)
	if err != nil || !os.SameFile(now, s.holds.watched) {
		t.Errorf("what is watched isn't what is there: %v", err)
	}
}
