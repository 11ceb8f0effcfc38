package nodeimage

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// builder returns one that works with that engine.
func builder(t *testing.T, e *enginetest.Engine) *Builder {
	t.Helper()
	return &Builder{Cache: t.TempDir(), Docker: e.Start(t)}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	built := new(Builder).Ref()
	byTag, _, _ := strings.Cut(defaults.Image, "@")
	// The client leaves a tag out of a pull that names a digest.
	repository, digest, _ := strings.Cut(defaults.Image, "@")
	byDigest := strings.SplitN(repository, ":", 2)[0] + "@" + digest
	version, ok := versionFromTag(defaults.Image)
	if !ok {
		t.Fatalf("kind's default %s has no version in its tag", defaults.Image)
	}
	for name, tc := range map[string]struct {
		want     string
		offline  bool
		images   []string
		registry map[string]string
		choice   Choice
		err      string
		calls    []string
	}{
		"default by digest":       {images: []string{defaults.Image, byTag, built}, choice: Choice{defaults.Image, FromEngine, version}},
		"default by tag":          {images: []string{byTag, built}, choice: Choice{byTag, FromEngine, version}},
		"built earlier":           {images: []string{built}, choice: Choice{built, Cached, kubernetesVersion()}},
		"built earlier, offline":  {offline: true, images: []string{built}, choice: Choice{built, Cached, kubernetesVersion()}},
		"named, there":            {want: "example/node:v1.36.1-x", images: []string{"example/node:v1.36.1-x"}, choice: Choice{"example/node:v1.36.1-x", FromEngine, "v1.36.1"}},
		"named, no version":       {calls: []string{"remove c1"}, want: "example/node:mine", images: []string{"example/node:mine"}, choice: Choice{"example/node:mine", FromEngine, "v1.35.9"}},
		"named, not there":        {want: "example/node:v1.36.1", err: "can't be pulled: Error response from daemon: no such host", calls: []string{"ask example/node:v1.36.1"}},
		"named, offline":          {want: "example/node:v1.36.1", offline: true, err: "isn't in the engine, and offline nothing is pulled"},
		"named, pulled":           {want: "example/node:v1.36.1", registry: map[string]string{"example/node:v1.36.1": ""}, choice: Choice{"example/node:v1.36.1", Pulled, "v1.36.1"}, calls: []string{"ask example/node:v1.36.1", "pull example/node:v1.36.1"}},
		"named, pull breaks":      {want: "example/node:v1.36.1", registry: map[string]string{"example/node:v1.36.1": "toomanyrequests"}, err: "toomanyrequests", calls: []string{"ask example/node:v1.36.1", "pull example/node:v1.36.1"}},
		"named as ours, built it": {want: built, images: []string{built}, choice: Choice{built, FromEngine, kubernetesVersion()}},
		"default pulled":          {registry: map[string]string{defaults.Image: "", byDigest: ""}, choice: Choice{defaults.Image, Pulled, version}, calls: []string{"ask " + defaults.Image, "pull " + byDigest}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &enginetest.Engine{Images: map[string]bool{}, Registry: tc.registry, Version: "v1.35.9\n"}
			for _, i := range tc.images {
				e.Images[i] = true
			}
			b := builder(t, e)
			got, err := b.Resolve(t.Context(), tc.want, tc.offline)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want one with %q", err, tc.err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if got != tc.choice {
				t.Errorf("got %+v, want %+v", got, tc.choice)
			}
			if !slices.Equal(e.Calls, tc.calls) {
				t.Errorf("the engine was asked %q, want %q", e.Calls, tc.calls)
			}
		})
	}
}

// Where the default can't be pulled, a build begins; both reasons are told when that can't be, either.
func TestResolveBuilds(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "linux" && os.Geteuid() == 0 {
		// The first thing that a build does as root is to lock the cache folder: make that impossible.
		e := &enginetest.Engine{}
		b := builder(t, e)
		b.Cache = "/dev/null/cache"
		_, err := b.Resolve(t.Context(), "", false)
		if err == nil || !strings.Contains(err.Error(), "create cache of node image parts") || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("got %v, want the build's error and the registry's", err)
		}
		if _, err = b.Resolve(t.Context(), "", true); !errors.Is(err, ErrOffline) || strings.Contains(err.Error(), "no such host") {
			t.Errorf("offline: got %v, want that no build is begun", err)
		}
		if want := []string{"ask " + defaults.Image}; !slices.Equal(e.Calls, want) {
			t.Errorf("the engine was asked %q, want %q: once, and not when offline", e.Calls, want)
		}
		return
	}
	b := builder(t, &enginetest.Engine{})
	if _, err := b.Resolve(t.Context(), "", true); err == nil || !strings.Contains(err.Error(), "build node image") {
		t.Errorf("got %v, want that a build isn't possible", err)
	}
}

// A registry behind a wall that swallows packets costs a bounded time, not the connection's own time-out.
func TestPullUnreachable(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // it accepts, and never answers
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+silent.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := &Builder{Docker: c, patience: 50 * time.Millisecond}
	if err := b.pull(t.Context(), "example/node:v1"); err == nil || !strings.Contains(err.Error(), "doesn't answer within 50ms") {
		t.Errorf("got %v, want that the registry doesn't answer", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ctx = progress.With(ctx, func(progress.Update) { cancel() }) // the caller gives up while the registry is being asked
	if err := (&Builder{Docker: c}).pull(ctx, "example/node:v1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPullProgress(t *testing.T) {
	t.Parallel()
	e := &enginetest.Engine{Images: map[string]bool{}, Registry: map[string]string{"example/node:v1": ""}}
	b := builder(t, e)
	var mu sync.Mutex
	seen := map[progress.Update]bool{}
	ctx := progress.With(t.Context(), func(u progress.Update) { mu.Lock(); defer mu.Unlock(); seen[u] = true })
	if err := b.pull(ctx, "example/node:v1"); err != nil {
		t.Fatal(err)
	}
	if want := (progress.Update{What: "node image: pull example/node:v1", Done: 5, Total: 10, Unit: "bytes"}); !seen[want] {
		t.Errorf("no report %+v among %v", want, slices.Collect(maps.Keys(seen)))
	}
}

func TestVersionFromTag(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"kindest/node:v1.37.2":               "v1.37.2",
		"kindest/node:v1.37.2@sha256:00":     "v1.37.2",
		"kindest/node:v1.37.2-hyper":         "v1.37.2",
		"localhost:5000/node:v1.36.10-a.b":   "v1.36.10",
		"kindest/node:latest":                "",
		"kindest/node:v1.37":                 "",
		"kindest/node":                       "",
		"example.com:v1.2.3/node":            "",
		"kindest/node@sha256:00v1.2.3":       "",
		"dynsandbox/node:v1.37.2-0123456789": "v1.37.2",
	} {
		if got, ok := versionFromTag(ref); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v", ref, got, ok)
		}
	}
}

// What is in the engine can be had offline, and what would have to be built of nothing can't.
func TestHas(t *testing.T) {
	t.Parallel()
	built := (&Builder{}).Ref()
	for name, tc := range map[string]struct {
		want   string
		images []string
		ref    string
		ok     bool
	}{
		"default":         {images: []string{defaults.Image}, ref: defaults.Image, ok: true},
		"built earlier":   {images: []string{built}, ref: built, ok: true},
		"nothing":         {ref: built},
		"named":           {want: "example/node:v1.36.1", images: []string{"example/node:v1.36.1"}, ref: "example/node:v1.36.1", ok: true},
		"named, another":  {want: "example/node:v1.36.1", images: []string{built}, ref: "example/node:v1.36.1"},
		"named, as built": {want: built, ref: built},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &enginetest.Engine{Images: map[string]bool{}}
			for _, i := range tc.images {
				e.Images[i] = true
			}
			ref, ok, err := builder(t, e).Has(t.Context(), tc.want)
			if err != nil || ref != tc.ref || ok != tc.ok {
				t.Errorf("got %s %v, error %v; want %s %v", ref, ok, err, tc.ref, tc.ok)
			}
			if len(e.Calls) > 0 {
				t.Errorf("the engine was asked %q", e.Calls)
			}
		})
	}
}
