package nodeimage

import (
	"context"
	"errors"
	"strings"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"
)

// ErrOffline is returned where a node image could only be had from a network, and that is not allowed.
var ErrOffline = errors.New("not all of its parts are in the cache, and offline none can be made")

// Has reports whether [Builder.Resolve] can get an image without a network: from the engine, or put together of parts that
// are all in the cache. ref is the image's name, or that of the one that would be built.
func (b *Builder) Has(ctx context.Context, want string) (ref string, ok bool, err error) {
	refs := []string{want}
	if want == "" {
		byTag, _, _ := strings.Cut(defaults.Image, "@")
		refs = []string{defaults.Image, byTag, b.Ref()}
	}
	for _, ref = range refs {
		if ok, err = b.inEngine(ctx, ref); err != nil || ok {
			return ref, ok, err
		}
	}
	return ref, ref == b.Ref() && b.complete(), nil
}

// complete reports whether a build would only put together what the cache has.
func (b *Builder) complete() bool {
	return buildable() == nil && len(cache{b.Cache}.missing(allParts())) == 0
}
