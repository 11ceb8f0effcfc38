package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	kind "sigs.k8s.io/kind/pkg/cluster"
	kinderrors "sigs.k8s.io/kind/pkg/errors"
	kindexec "sigs.k8s.io/kind/pkg/exec"
	kindlog "sigs.k8s.io/kind/pkg/log"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Create makes the cluster and returns when its node is Ready, Pods can be made and the admission policies are
// in force; CoreDNS may still be starting (see [Client.WaitDNS]). What is left of an earlier creation is deleted first.
//
// When ctx ends, what was created is deleted before Create returns.
func (c *Cluster) Create(ctx context.Context) error {
	kubernetes := c.cfg.KubernetesVersion
	if kubernetes == "" {
		var err error
		if kubernetes, err = NodeImageVersion(ctx, c.docker, c.cfg.NodeImage); err != nil {
			return err
		}
	}
	static, err := c.cfg.policyRoute(kubernetes)
	if err != nil {
		return err
	}
	quirks, err := DetectQuirks(ctx, c.docker)
	if err != nil {
		return err
	}
	if err := c.Delete(ctx); err != nil {
		return fmt.Errorf("delete what is left of an earlier cluster: %w", err)
	}
	if err := os.MkdirAll(c.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("create state folder: %w", err)
	}
	if c.cfg.LaunchDir != "" {
		if err := os.MkdirAll(c.cfg.LaunchDir, 0o755); err != nil {
			return fmt.Errorf("create folder of launch files: %w", err)
		}
	}
	made := record{NodeImage: c.cfg.NodeImage, Kubernetes: kubernetes, NetworkID: c.cfg.Network.ID, LaunchDir: c.cfg.LaunchDir}
	if err := c.writeRecord(made); err != nil {
		return err
	}
	if static {
		if err := writeAdmission(filepath.Join(c.cfg.StateDir, "admission"), nodeAdmissionDir); err != nil {
			return err
		}
	}
	raw, err := render(c.cfg.kindConfig(static, quirks))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.cfg.StateDir, "kind.yaml"), raw, 0o600); err != nil {
		return fmt.Errorf("write kind configuration: %w", err)
	}
	c.provisioning.Store(true)
	defer c.provisioning.Store(false)
	if err := c.kindCreate(ctx, raw); err != nil {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	if !static {
		if err := client.createPolicies(ctx); err != nil {
			return err
		}
	}
	if err := client.waitBase(ctx); err != nil {
		return err
	}
	if err := client.probePolicies(ctx); err != nil {
		return err
	}
	made.Complete = true
	return c.writeRecord(made)
}

// kindCreate runs kind's creation, which knows no context: when ctx ends, its node is removed under it, which
// makes it give up soon.
func (c *Cluster) kindCreate(ctx context.Context, raw []byte) error {
	if err := os.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", c.cfg.Network.Name); err != nil {
		return err
	}
	provider := kind.NewProvider(kind.ProviderWithDocker(), kind.ProviderWithLogger(kindLogger{ctx}))
	var err error
	for try := 1; ; try++ {
		done := make(chan error, 1)
		go func() {
			done <- provider.Create(Name(c.cfg.Sandbox),
				kind.CreateWithRawConfig(raw),
				kind.CreateWithKubeconfigPath(c.Kubeconfig()),
				kind.CreateWithRetain(true), // its clean-up would race with ours
				kind.CreateWithDisplayUsage(false), kind.CreateWithDisplaySalutation(false))
		}()
		select {
		case err = <-done:
		case <-ctx.Done():
			c.abandon(done)
			return fmt.Errorf("create cluster %s: %w", Name(c.cfg.Sandbox), ctx.Err())
		}
		// A docker command that a killed process left behind can make the node container after we looked for it.
		if err == nil || try == 2 || !strings.Contains(err.Error()+kindOutput(err), "already") {
			break
		}
		slog.Info("a node container appeared while creating; beginning again", "cluster", Name(c.cfg.Sandbox))
		if err := c.Delete(ctx); err != nil {
			return err
		}
	}
	if err == nil {
		return os.Chmod(c.Kubeconfig(), 0o600)
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(c.kindFault(err), c.Delete(cleanup))
}

// abandon removes the node again and again until kind has noticed, for at most a minute.
func (c *Cluster) abandon(done <-chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.Delete(ctx); err != nil {
			slog.Warn("delete an unfinished cluster", "cluster", Name(c.cfg.Sandbox), "err", err)
		}
		select {
		case <-done:
			if err := c.Delete(ctx); err != nil {
				slog.Warn("delete an unfinished cluster", "cluster", Name(c.cfg.Sandbox), "err", err)
			}
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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

// kindLogger passes kind's steps on as progress, and the rest to slog.
type kindLogger struct{ ctx context.Context }

var _ kindlog.Logger = kindLogger{}

func (l kindLogger) Warn(s string)             { slog.DebugContext(l.ctx, s, "from", "kind") } // it warns of what we asked for
func (l kindLogger) Warnf(f string, a ...any)  { l.Warn(fmt.Sprintf(f, a...)) }
func (l kindLogger) Error(s string)            { slog.ErrorContext(l.ctx, s, "from", "kind") }
func (l kindLogger) Errorf(f string, a ...any) { l.Error(fmt.Sprintf(f, a...)) }
func (l kindLogger) V(v kindlog.Level) kindlog.InfoLogger {
	return kindInfo{l.ctx, v}
}

type kindInfo struct {
	ctx   context.Context
	level kindlog.Level
}

func (i kindInfo) Enabled() bool { return i.level == 0 }

func (i kindInfo) Infof(f string, a ...any) { i.Info(fmt.Sprintf(f, a...)) }

func (i kindInfo) Info(s string) {
	if i.level > 0 {
		return
	}
	if step, ok := strings.CutPrefix(strings.TrimSpace(s), "•"); ok {
		progress.Report(i.ctx, progress.Update{What: stepName(step)})
		return
	}
	slog.DebugContext(i.ctx, strings.TrimSpace(s), "from", "kind")
}

// stepName makes one of kind's status lines ("Preparing nodes 📦  ...") a plain one ("preparing nodes").
func stepName(s string) string {
	plain := strings.Map(func(r rune) rune {
		if r > 0x7f {
			return -1
		}
		return r
	}, strings.TrimSuffix(strings.TrimSpace(s), "..."))
	return strings.ToLower(strings.Join(strings.Fields(plain), " "))
}
