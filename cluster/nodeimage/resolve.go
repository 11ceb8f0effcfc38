package nodeimage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Where a Choice comes from.
const (
	FromEngine = "engine" // the engine had the image that was asked for
	Pulled     = "pulled" // from its registry, now
	Cached     = "cached" // built here, earlier
	Built      = "built"  // built here, now
)

// Choice is a node image that is in the engine.
type Choice struct {
	Ref               string `json:"ref"`
	Source            string `json:"source"`
	KubernetesVersion string `json:"kubernetesVersion"` // as "v1.37.2"
}

// reachable is how long a registry may take to say that it has an image. It is the bound of what a machine
// without a way out costs, where packets are dropped silently.
const reachable = 20 * time.Second

// Resolve makes sure that the engine has a node image, and returns it.
//
// want names the image; "" is the one that this release of kind is made for, and where that is neither in the engine
// nor pullable, one that is built here. offline refuses every pull, and every build for which not all parts are in the
// cache. An image that was named and can't be had is an error.
func (b *Builder) Resolve(ctx context.Context, want string, offline bool) (Choice, error) {
	if want == "" {
		return b.resolveDefault(ctx, offline)
	}
	found, err := b.inEngine(ctx, want)
	if err != nil {
		return Choice{}, err
	}
	if found {
		return b.choose(ctx, want, FromEngine)
	}
	if want == b.Ref() {
		return b.resolveBuilt(ctx, offline)
	}
	if offline {
		return Choice{}, fmt.Errorf("node image %s isn't in the engine, and offline nothing is pulled", want)
	}
	if err := b.pull(ctx, want); err != nil {
		return Choice{}, fmt.Errorf("node image %s isn't in the engine and can't be pulled: %w", want, err)
	}
	return b.choose(ctx, want, Pulled)
}

func (b *Builder) resolveDefault(ctx context.Context, offline bool) (Choice, error) {
	byTag, _, _ := strings.Cut(defaults.Image, "@")
	for _, ref := range []string{defaults.Image, byTag, b.Ref()} {
		found, err := b.inEngine(ctx, ref)
		if err != nil {
			return Choice{}, err
		}
		if found && ref == b.Ref() {
			return b.choose(ctx, ref, Cached) // asking a registry again on each start would cost more than it could bring
		}
		if found {
			return b.choose(ctx, ref, FromEngine)
		}
	}
	var noPull error
	if !offline {
		if noPull = b.pull(ctx, defaults.Image); noPull == nil {
			return b.choose(ctx, defaults.Image, Pulled)
		}
		if err := ctx.Err(); err != nil {
			return Choice{}, err
		}
	}
	choice, err := b.resolveBuilt(ctx, offline)
	if err != nil && noPull != nil && ctx.Err() == nil {
		return Choice{}, errors.Join(err, fmt.Errorf("(%s can't be pulled: %w)", byTag, noPull))
	}
	return choice, err
}

func (b *Builder) resolveBuilt(ctx context.Context, offline bool) (Choice, error) {
	if offline && !b.complete() {
		return Choice{}, fmt.Errorf("build node image %s: %w", b.Ref(), ErrOffline)
	}
	ref, err := b.Build(ctx)
	if err != nil {
		return Choice{}, err
	}
	return b.choose(ctx, ref, Built)
}

// choose completes a choice with the Kubernetes version: from the image's tag, or from the image itself.
func (b *Builder) choose(ctx context.Context, ref, source string) (Choice, error) {
	version, ok := versionFromTag(ref)
	if !ok {
		var err error
		if version, err = cluster.NodeImageVersion(ctx, b.Docker, ref); err != nil {
			return Choice{}, err
		}
	}
	return Choice{Ref: ref, Source: source, KubernetesVersion: version}, nil
}

var versionTag = regexp.MustCompile(`:(v\d+\.\d+\.\d+)(-[^:/@]*)?(@.*)?$`)

// versionFromTag reads tags like v1.37.2 and v1.37.2-anything, with or without a digest behind.
func versionFromTag(ref string) (string, bool) {
	m := versionTag.FindStringSubmatch(ref)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// pull pulls an image through the engine. Only a registry that answers in time is asked for more.
func (b *Builder) pull(ctx context.Context, ref string) error {
	progress.Report(ctx, progress.Update{What: "node image: ask for " + ref})
	patience := cmp.Or(b.patience, reachable)
	asking, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the registry doesn't answer within %s", patience))
	defer cancel()
	if _, err := b.Docker.DistributionInspect(asking, ref, ""); err != nil {
		if cause := context.Cause(asking); cause != nil {
			return cause
		}
		return err
	}
	body, err := b.Docker.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	got, of := map[string]int64{}, map[string]int64{}
	return follow(body, func(m message) {
		if m.Status != "Downloading" {
			return
		}
		got[m.ID], of[m.ID] = m.Progress.Current, m.Progress.Total
		progress.Report(ctx, progress.Update{What: "node image: pull " + ref, Done: sum(got), Total: sum(of), Unit: "bytes"})
	})
}

func sum(m map[string]int64) (total int64) {
	for _, n := range m {
		total += n
	}
	return total
}
