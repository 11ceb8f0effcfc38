package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quick polls often enough for a test, and doesn't wait long for the probe.
func quick() tuning {
	tune := defaultTuning
	tune.pollEvery, tune.probeWait = 20*time.Millisecond, 50*time.Millisecond
	return tune
}

func TestPolling(t *testing.T) {
	w := newWorkspace(t, "go/a/x.go", "python/y.py", "go/.gitignore")
	w.watch(Config{Poll: true}, quick())
	w.write("go/a/x.go", "new")
	w.until("go/a/x.go")
	w.write("go/b/c/z.go", "")
	w.until("go/b/c/z.go")
	w.rename("go/b", "go/d")
	w.until("go/b/c/z.go", "go/d/c/z.go")
	w.remove("go/a/x.go")
	w.write("go/a/x.go/now.go", "a folder")
	w.until("go/a/x.go", "go/a/x.go/now.go")
	w.remove("go/a/x.go")
	w.write("go/a/x.go", "a file")
	w.until("go/a/x.go", "go/a/x.go/now.go")
	w.remove("python")
	w.until("python/y.py")
	w.exactly(func() { w.write("go/x.swp", ""); w.write("go/node_modules/x.js", "") })
	if !strings.Contains(w.log(), "polling every 20ms, because it was asked for") {
		t.Errorf("log: %q", w.log())
	}
}

func TestPollsWhenTheProbeIsNotSeen(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	tune := quick()
	tune.probe = func(string) error { return nil } // as on a file system without events
	w.watch(Config{}, tune)
	deadline := time.After(patience)
	for !strings.Contains(w.log(), "polling every 20ms, because events don't arrive in "+w.root) {
		select {
		case <-deadline:
			t.Fatalf("log: %q", w.log())
		case b := <-w.batches:
			t.Fatalf("reported %v", b.Files)
		case <-time.After(time.Millisecond):
		}
	}
	w.write("go/x.go", "new")
	w.until("go/x.go")
}

// TestProbe: its event ends the wait for it, nothing is reported, and nothing is left behind.
func TestProbe(t *testing.T) {
	ws := newWorkspace(t, "go/x.go")
	before, err := os.Stat(ws.path("go"))
	ws.check(err)
	w, err := newWatcher(Config{Root: ws.root, Folders: []string{"go"}}, defaultTuning)
	ws.check(err)
	defer w.end()
	select {
	case ev := <-w.source.events():
		w.handle(ev)
	case <-time.After(patience):
		t.Fatal("no event")
	}
	if awaited := w.unanswered.Stop(); awaited || len(w.dirty) > 0 {
		t.Errorf("still awaited: %v, to be reported: %v", awaited, w.dirty)
	}
	after, err := os.Stat(ws.path("go"))
	ws.check(err)
	if entries, _ := os.ReadDir(ws.path("go")); len(entries) != 1 || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("%d files, time %s before, %s after", len(entries), before.ModTime(), after.ModTime())
	}
}

func TestPollsWhereTheOtherSideCausesNoEvents(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	tune := quick()
	real, err := filepath.EvalSymlinks(w.root)
	w.check(err)
	tune.mountInfo = filepath.Join(t.TempDir(), "mountinfo")
	w.check(os.WriteFile(tune.mountInfo, fmt.Appendf(nil, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n40 22 0:5 / %s rw,noatime - 9p drive rw\n", real), 0o644))
	w.watch(Config{}, tune)
	if want := "is on 9p, where changes made from the other side cause no events"; !strings.Contains(w.log(), want) {
		t.Errorf("log: %q", w.log())
	}
	w.write("go/x.go", "new")
	w.until("go/x.go")
}

func TestFileSystem(t *testing.T) {
	const mounts = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs
31 22 0:26 / /mnt/my\040drive rw - vboxsf share rw
32 30 8:2 /sub /mnt/c/linux rw - ext4 /dev/sdb rw
33 22 0:27 / /over rw - ext4 /dev/sdc rw
34 33 0:28 / /over rw - cifs //host/share rw
nonsense
`
	for path, want := range map[string]string{
		"/home/me": "ext4", "/mnt/c": "9p", "/mnt/c/ws": "9p", "/mnt/cc": "ext4", "/mnt/c/linux/ws": "ext4",
		"/mnt/my drive/ws": "vboxsf", "/over/ws": "cifs",
	} {
		if got := fileSystem(mounts, path); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
}
