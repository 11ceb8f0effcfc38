package watch

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// LimitError says that the kernel's limits for watching are used up, by this program and all others of the user.
type LimitError struct {
	Commands []string // raise the limits until the next start of the machine; none where they are set in another way
	Err      error
}

// Error names the cause and the commands.
func (e *LimitError) Error() string {
	s := fmt.Sprintf("the limits for watching files are used up (%v)", e.Err)
	if len(e.Commands) > 0 {
		s += "; raise them with: " + strings.Join(e.Commands, " && ")
	}
	return s
}

// Unwrap returns the kernel's error.
func (e *LimitError) Unwrap() error { return e.Err }

// limitError returns the [LimitError] that err amounts to, or nil. inotify says "no space left on device" when there
// are no watches left, and "too many open files" when there are no instances.
func limitError(err error) *LimitError {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return nil
	}
	e := &LimitError{Err: err}
	if runtime.GOOS == "linux" {
		e.Commands = []string{raise("fs.inotify.max_user_watches", 524288), raise("fs.inotify.max_user_instances", 512)}
	}
	return e
}

// orLimit returns err as a [LimitError] if it is one.
func orLimit(err error) error {
	if limit := limitError(err); limit != nil {
		return limit
	}
	return err
}

// raise returns the command that sets a limit to what is enough for most, or doubles it when it is set to that.
func raise(name string, enough int) string {
	text, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/")) // unreadable: as if it were 0
	if now, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && now >= enough {
		enough = 2 * now
	}
	return fmt.Sprintf("sudo sysctl %s=%d", name, enough)
}
