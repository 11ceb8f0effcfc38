package nodeimage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopUnder kills the processes whose working directory or root is dir or below it, and waits until they are gone.
// Every tool is started with its working directory there, so these are ours and their children.
func stopUnder(dir string) error {
	for range 100 { // 5 s; what is killed may have forked just before
		pids, err := processesUnder(dir)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("they don't end")
}

func processesUnder(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, link := range []string{"cwd", "root"} {
			// A process that ended has neither; one of another namespace isn't ours.
			at, err := os.Readlink(filepath.Join("/proc", e.Name(), link))
			if err == nil && within(strings.TrimSuffix(at, " (deleted)"), dir) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids, nil
}

// unmountUnder unmounts everything below dir: a debootstrap that was killed leaves /proc and /sys.
func unmountUnder(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	points := mountPoints(string(mounts), dir)
	slices.Reverse(points) // the last mounted first
	for _, p := range points {
		if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", p, err)
		}
	}
	return nil
}

// mountPoints returns those of a mountinfo file that are below dir, in the order of mounting.
func mountPoints(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if p := unescape.Replace(fields[4]); p != dir && within(p, dir) {
			points = append(points, p)
		}
	}
	return points
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// syncFiles writes the file system of dir to disk: a part must be whole after a crash of the machine, too.
func syncFiles(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
