package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Where a third-party image came from.
const (
	SourceEngine  = "engine"   // the engine had it
	SourcePulled  = "pulled"   // pulled now
	SourceStandIn = "stand-in" // made now, of Debian packages
	SourceCached  = "cached"   // a stand-in that was made before
)

// ErrOffline is returned for an image that could only be had from the network, when that is not allowed.
var ErrOffline = errors.New("not on this machine, and offline")

// Choice says which image in the engine takes the place of a third-party image.
type Choice struct {
	Wanted string `json:"wanted"`         // "rabbitmq:3-management"
	Ref    string `json:"ref"`            // what the engine has: the wanted one, or a stand-in's name, which says so
	ID     string `json:"id"`             // its image ID in the engine
	Source string `json:"source"`         // one of the Source constants
	Note   string `json:"note,omitempty"` // how a stand-in differs from what was wanted
}

// ThirdParty finds images that nobody here builds. The zero value, with Docker and Cache set, is ready for use;
// one value serves several goroutines, and remembers for its life which pulls failed.
type ThirdParty struct {
	Docker  client.APIClient
	Cache   string                                          // folder for stand-ins' file systems (about 150 to 250 MB each)
	Install func(ctx context.Context, pkgs ...string) error // gets missing Debian packages (debootstrap); nil: report them
	Offline bool                                            // use no network at all
	Log     io.Writer                                       // receives the output of the package tools; nil discards it

	mu     sync.Mutex
	failed map[string]error         // pulls that failed, by reference
	busy   map[string]chan struct{} // references being resolved
}

// pullPatience limits one attempt to start a pull: with no registry it fails in milliseconds, behind a firewall that
// drops packets only after minutes. A pull that has begun is not limited.
const pullPatience = 20 * time.Second

// Resolve returns the image to use for ref: the engine's own, else a pulled one, else a stand-in.
// It fails with the pull's error when there is no stand-in for it either.
func (t *ThirdParty) Resolve(ctx context.Context, ref string) (Choice, error) {
	release, err := t.turn(ctx, ref)
	if err != nil {
		return Choice{}, err
	}
	defer release()
	if id, ok, err := t.inEngine(ctx, ref); err != nil || ok {
		return Choice{Wanted: ref, Ref: ref, ID: id, Source: SourceEngine}, err
	}
	r, standIn := recipeFor(ref)
	if standIn {
		// A stand-in that exists is preferred to a pull: an image must not change under a running sandbox
		// because a registry became reachable.
		if id, ok, err := t.inEngine(ctx, r.ref()); err != nil || ok {
			return Choice{Wanted: ref, Ref: r.ref(), ID: id, Source: SourceCached, Note: r.note}, err
		}
	}
	pullErr := t.pull(ctx, ref)
	if pullErr == nil {
		id, ok, err := t.inEngine(ctx, ref)
		if err == nil && !ok {
			err = fmt.Errorf("pull %s: the engine doesn't have it afterwards", ref)
		}
		return Choice{Wanted: ref, Ref: ref, ID: id, Source: SourcePulled}, err
	}
	if ctx.Err() != nil {
		return Choice{}, ctx.Err()
	}
	if !standIn {
		return Choice{}, pullErr
	}
	cached, err := t.standIn(ctx, r)
	if err != nil {
		return Choice{}, fmt.Errorf("make a stand-in for %s (%w): %w", ref, pullErr, err)
	}
	id, ok, err := t.inEngine(ctx, r.ref())
	if err == nil && !ok {
		err = fmt.Errorf("load %s: the engine doesn't have it afterwards", r.ref())
	}
	c := Choice{Wanted: ref, Ref: r.ref(), ID: id, Source: SourceStandIn, Note: r.note}
	if cached {
		c.Source = SourceCached
	}
	return c, err
}

// turn makes several callers that want the same image work one after the other.
func (t *ThirdParty) turn(ctx context.Context, ref string) (release func(), err error) {
	for {
		t.mu.Lock()
		wait, taken := t.busy[ref]
		if !taken {
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			done := make(chan struct{})
			t.busy[ref] = done
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.busy, ref)
				close(done)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// inEngine returns the ID of an image in the engine.
func (t *ThirdParty) inEngine(ctx context.Context, ref string) (id string, ok bool, err error) {
	info, err := t.Docker.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look for image %s: %w", ref, err)
	}
	return info.ID, true, nil
}

// pull pulls an image. A failure is remembered, so that only the first one who asks waits for it.
func (t *ThirdParty) pull(ctx context.Context, ref string) error {
	if t.Offline {
		return fmt.Errorf("image %s: %w", ref, ErrOffline)
	}
	t.mu.Lock()
	err := t.failed[ref]
	t.mu.Unlock()
	if err != nil {
		return err
	}
	progress.Report(ctx, progress.Update{What: "pull " + ref})
	if err = pull(ctx, t.Docker, ref); err == nil || ctx.Err() != nil {
		return err
	}
	err = fmt.Errorf("pull %s: %w", ref, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = map[string]error{}
	}
	t.failed[ref] = err
	return err
}

func pull(ctx context.Context, docker client.APIClient, ref string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(pullPatience, func() { cancel(fmt.Errorf("no answer from the registry in %s", pullPatience)) })
	defer patience.Stop()
	stream, err := docker.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer stream.Close()
	return readEngineStream(stream, func(m engineMessage) {
		patience.Stop()
		if m.Progress.Total > 0 {
			progress.Report(ctx, progress.Update{What: "pull " + ref, Done: m.Progress.Current, Total: m.Progress.Total, Unit: "bytes"})
		}
	})
}
