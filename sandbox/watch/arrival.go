package watch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// oneSided are the file systems that another machine's editor writes to while only this machine's writes cause events:
// the Windows drives of WSL, the shared folders of virtual machines, SMB. The probe can't find them, because it writes
// from this side. NFS is not one of them: there, people mostly edit where they run.
var oneSided = map[string]bool{
	"9p": true, "drvfs": true, "virtiofs": true, "vboxsf": true, "vmhgfs": true, "fuse.vmhgfs-fuse": true, "prl_fs": true,
	"fakeowner": true, "fuse.grpcfuse": true, "cifs": true, "smb3": true,
}

// cannotArrive returns why events can't be relied on, or "".
func (w *watcher) cannotArrive() string {
	mounts, err := os.ReadFile(w.tune.mountInfo)
	if err != nil {
		return "" // no Linux: the probe has to do
	}
	for _, rel := range w.places() {
		abs, err := filepath.EvalSymlinks(w.abs(rel))
		if err != nil {
			continue // isn't there yet
		}
		if kind := fileSystem(string(mounts), abs); oneSided[kind] {
			return fmt.Sprintf("%s is on %s, where changes made from the other side cause no events", w.abs(rel), kind)
		}
	}
	return ""
}

// places are the folders that could be mounts of their own.
func (w *watcher) places() []string { return append(slices.Sorted(maps.Keys(w.listed)), ".") }

// fileSystem returns the type of the file system that a path is on, from the text of /proc/self/mountinfo.
func fileSystem(mounts, abs string) string {
	kind, longest := "", -1
	for line := range strings.Lines(mounts) {
		// ID parent major:minor root MOUNTPOINT options [optional fields] - TYPE source options
		before, after, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(rest) == 0 {
			continue
		}
		at := unescape.Replace(fields[4])
		// Of two mounts at one place the later one counts.
		if len(at) >= longest && (at == "/" || abs == at || strings.HasPrefix(abs, at+"/")) {
			kind, longest = rest[0], len(at)
		}
	}
	return kind
}

// unescape undoes the kernel's writing of blanks in mount points.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// askForEvents makes an event and waits for it. If it doesn't come, the watcher goes over to polling.
func (w *watcher) askForEvents() {
	if w.source == nil {
		return
	}
	for _, rel := range w.places() {
		if w.folders[rel] == nil {
			continue
		}
		if err := w.tune.probe(w.abs(rel)); err == nil {
			w.unanswered.Reset(w.tune.probeWait)
			return
		}
	}
	// Nowhere may we: the sources are somebody else's. Events are taken to arrive.
}

// probe sets the time of a folder to what it is: an event for it, and no trace.
func probe(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return os.Chtimes(dir, time.Time{}, info.ModTime())
}
