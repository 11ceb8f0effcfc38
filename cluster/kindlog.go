package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	kindlog "sigs.k8s.io/kind/pkg/log"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// kindLogger passes kind's steps on as progress, and the rest to slog.
type kindLogger struct {
	ctx  context.Context
	step *atomic.Pointer[string] // the last one that it told
}

var _ kindlog.Logger = kindLogger{}

func newKindLogger(ctx context.Context) kindLogger {
	return kindLogger{ctx, new(atomic.Pointer[string])}
}

// last returns kind's last step, or "".
func (l kindLogger) last() string {
	if s := l.step.Load(); s != nil {
		return *s
	}
	return ""
}

func (l kindLogger) Warn(s string)             { slog.DebugContext(l.ctx, s, "from", "kind") } // it warns of what we asked for
func (l kindLogger) Warnf(f string, a ...any)  { l.Warn(fmt.Sprintf(f, a...)) }
func (l kindLogger) Error(s string)            { slog.ErrorContext(l.ctx, s, "from", "kind") }
func (l kindLogger) Errorf(f string, a ...any) { l.Error(fmt.Sprintf(f, a...)) }
func (l kindLogger) V(v kindlog.Level) kindlog.InfoLogger {
	return kindInfo{l, v}
}

type kindInfo struct {
	kindLogger
	level kindlog.Level
}

func (i kindInfo) Enabled() bool { return i.level == 0 }

func (i kindInfo) Infof(f string, a ...any) { i.Info(fmt.Sprintf(f, a...)) }

func (i kindInfo) Info(s string) {
	if i.level > 0 {
		return
	}
	if step, ok := strings.CutPrefix(strings.TrimSpace(s), "•"); ok {
		name := stepName(step)
		i.step.Store(&name)
		progress.Report(i.ctx, progress.Update{What: name})
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
