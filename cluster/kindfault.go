package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	kinderrors "sigs.k8s.io/kind/pkg/errors"
	kindexec "sigs.k8s.io/kind/pkg/exec"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// nodeInTheWay reports whether what kind (or the engine, to it) says is that the node's container exists. A docker
// command that a killed process left behind can make it after we looked for it.
func nodeInTheWay(said string) bool {
	return strings.Contains(said, "already exist for a cluster") || strings.Contains(said, "is already in use by container")
}

func kindOutput(err error) string {
	if run := kindexec.RunErrorForError(err); run != nil {
		return string(run.Output)
	}
	return ""
}

// kindFault turns kind's error into ours, with the command and what it says of the cause. The whole output goes to
// a file in the state folder: it is hundreds of lines.
func (c *Cluster) kindFault(err error) error {
	if run := kindexec.RunErrorForError(err); run != nil {
		log := filepath.Join(c.cfg.StateDir, "create.log")
		tail := cause(run.Output)
		if os.WriteFile(log, run.Output, 0o600) == nil {
			tail += "\n(all of it: " + log + ")"
		}
		return fmt.Errorf("create cluster: %w", &fault.Exec{Argv: run.Command, Tail: tail, Err: run.Inner})
	}
	if all := kinderrors.Errors(err); len(all) > 0 {
		return fmt.Errorf("create cluster: %w", errors.Join(all...))
	}
	return fmt.Errorf("create cluster: %w", err)
}

// cause finds what kubeadm says of a failure in its output: the lines from its last "error..." up to the stack trace
// that it prints at kind's verbosity. Other output is cut to its end.
func cause(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(strings.ToLower(lines[i]), "error") {
			continue
		}
		end := i + 1
		for end < len(lines) && end < i+15 && !strings.Contains(lines[end], "/cmd/") && !strings.HasPrefix(lines[end], "\t/") {
			end++
		}
		return strings.Join(lines[i:end], "\n")
	}
	return fault.Tail(output, 15)
}
