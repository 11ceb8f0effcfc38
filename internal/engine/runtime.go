package engine

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// capSysResource is CAP_SYS_RESOURCE's bit (linux/capability.h).
const capSysResource = 24

// LacksSysResource reports whether this machine's capability bounding set is without CAP_SYS_RESOURCE, as in
// some virtual machines. Privileged containers and negative OOM scores can't be had there as they are.
func LacksSysResource() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	return lacksCapability(status, capSysResource)
}

func lacksCapability(status []byte, bit uint) bool {
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return err == nil && set>>bit&1 == 0
		}
	}
	return false
}

//go:embed runc-without-sys-resource.sh
var runcShim []byte

// The runtime that asks only for capabilities that can be had, and where its wrapper of runc is installed.
const (
	runtimeName = "dynsandbox"
	shimPath    = "/usr/local/lib/dynsandbox/runc-without-sys-resource"

	runtimeNote = "; CAP_SYS_RESOURCE can't be had on this machine, so containers are started without it"
)

func installShim() error {
	if err := os.MkdirAll(filepath.Dir(shimPath), 0o755); err != nil {
		return err
	}
	return os.WriteFile(shimPath, runcShim, 0o755)
}

// daemonArgs returns dockerd's arguments for this machine: none, or those for our runtime.
func daemonArgs() (args []string, note string, err error) {
	if !LacksSysResource() {
		return nil, "", nil
	}
	if err := installShim(); err != nil {
		return nil, "", err
	}
	return []string{"--add-runtime", runtimeName + "=" + shimPath, "--default-runtime", runtimeName}, runtimeNote, nil
}

// daemonConfig is where an engine that systemd starts reads its settings, whatever its unit passes.
const daemonConfig = "/etc/docker/daemon.json"

// configureRuntime does for an engine that systemd starts what daemonArgs does for ours. A configuration that is there
// is the user's: it isn't changed.
func configureRuntime(file string) (note string, err error) {
	if !LacksSysResource() {
		return "", nil
	}
	if err := installShim(); err != nil {
		return "", err
	}
	return writeRuntime(file)
}

func writeRuntime(file string) (note string, err error) {
	settings := fmt.Sprintf(`{"runtimes": {%q: {"path": %q}}, "default-runtime": %q}`, runtimeName, shimPath, runtimeName)
	was, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case strings.Contains(string(was), shimPath):
		return runtimeNote, nil
	default:
		return "; CAP_SYS_RESOURCE can't be had on this machine: if the node doesn't start, add to " + file + ": " + settings, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return runtimeNote, os.WriteFile(file, []byte(settings+"\n"), 0o644)
}
