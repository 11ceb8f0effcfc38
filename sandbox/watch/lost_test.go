package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLostEvents lets the kernel's queue run over while the watcher is held up, and changes things that it never hears of.
func TestLostEvents(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Skip("only inotify has a queue that can be filled: ", err)
	}
	queue, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || queue > 100_000 {
		t.Skipf("the queue is too long to be filled: %s", text)
	}
	w := newWorkspace(t, "go/a/x.go", "go/a/y.go", "go/moved/deep/z.go", "python/y.py")
	held, release := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held); <-release })
	w.watch(Config{Ignore: func(rel string, dir bool) bool {
		if rel == "go/hold" {
			hold()
			return true
		}
		return false
	}}, defaultTuning)

	w.write("go/hold", "")
	<-held
	var files [2]*os.File
	for i, rel := range []string{"go/a/x.go", "go/a/y.go"} {
		files[i], err = os.OpenFile(w.path(rel), os.O_WRONLY, 0)
		w.check(err)
		defer files[i].Close()
	}
	for i := range 2 * queue { // in turn: the kernel joins equal events
		_, err := files[i%2].WriteAt([]byte{byte(i)}, 0)
		w.check(err)
	}
	w.write("go/new/b/new.go", "")
	w.remove("python/y.py")
	w.rename("go/moved", "go/here")
	close(release)

	_, batches := w.until("go/new/b/new.go", "python/y.py", "go/moved/deep/z.go", "go/here/deep/z.go")
	if rescan := batches[len(batches)-1].Rescan; !rescan || !strings.Contains(w.log(), "events were lost") {
		t.Errorf("Rescan is %v, log: %q", rescan, w.log())
	}
	w.exactly(func() { w.write("go/here/deep/z.go", "new"); w.write("go/new/b/new.go", "new") }, "go/here/deep/z.go", "go/new/b/new.go")
}

func TestPollsWhenTheRootIsGone(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	w.watch(Config{}, quick())
	w.check(os.Rename(w.root, w.root+".old"))
	w.until("go/x.go")
	if !strings.Contains(w.log(), "was removed or moved") {
		t.Errorf("log: %q", w.log())
	}
	w.check(os.Rename(w.root+".old", w.root))
	w.until("go/x.go")
}

// TestUnreadableIsNotGone: when nothing can be opened any more, nothing is reported as removed.
func TestUnreadableIsNotGone(t *testing.T) {
	w := newWorkspace(t, "go/a/x.go", "python/y.py")
	w.watch(Config{Poll: true}, quick())
	w.write("go/a/x.go", "new")
	w.until("go/a/x.go") // and with it what was written just before the first snapshot

	var limit syscall.Rlimit
	w.check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	w.check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	deadline := time.After(patience)
	for !strings.Contains(w.log(), "may be missed") {
		select {
		case <-deadline:
			t.Error("nothing was said")
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	w.check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	w.exactly(func() {})
}

func TestLimits(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, fmt.Errorf("couldn't initialize inotify: %w", syscall.EMFILE)} {
		var limit *LimitError
		err := fmt.Errorf("watch: %w", orLimit(cause))
		if !errors.As(err, &limit) || !errors.Is(err, cause) {
			t.Fatalf("%v is no LimitError", err)
		}
		if _, serr := os.Stat("/proc/sys/fs/inotify"); serr != nil {
			continue
		}
		for _, want := range []string{"sudo sysctl fs.inotify.max_user_watches=", "sudo sysctl fs.inotify.max_user_instances="} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q doesn't say %q", err, want)
			}
		}
	}
	if err := orLimit(syscall.EACCES); !errors.Is(err, syscall.EACCES) || limitError(err) != nil {
		t.Errorf("got %v", err)
	}
}

func TestEndClosesTheChannel(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	w.watch(Config{}, defaultTuning)
	w.write("go/x.go", "nobody reads this") // the clean-up waits for the channel to close, goleak for what ran behind it
}
