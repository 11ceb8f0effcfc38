package images

import (
	"context"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Cached remembers what a builder made, for as long as the sources stay as they were. A service that can't be built
// isn't remembered.
type Cached struct {
	Builder Builder
	// Key changes whenever the builder could make another image of any service. It returns "" where that isn't known: then
	// the builder is asked. It is called once for each Build.
	Key func() (string, error)

	mu   sync.Mutex
	kept map[string]cachedImage // by the service's folder
}

type cachedImage struct {
	key string
	img v1.Image
}

var _ Builder = (*Cached)(nil)

// Build has the builder build those services that were changed.
func (c *Cached) Build(ctx context.Context, services ...Service) ([]Built, error) {
	have := map[string]Built{} // by folder
	// Before anything is built: what is changed meanwhile is built once more.
	key, err := c.Key()
	if err != nil {
		return nil, &BuildError{Services: serviceNames(services), Err: err}
	}
	var changed []Service
	for _, s := range services {
		if img := c.image(s, key); img != nil {
			have[s.Dir] = Built{Service: s, Image: img}
		} else {
			changed = append(changed, s)
		}
	}
	if len(changed) > 0 {
		var fresh []Built
		fresh, err = c.Builder.Build(ctx, changed...)
		for _, b := range fresh {
			c.keep(b, key)
			have[b.Service.Dir] = b
		}
	}
	var built []Built
	for _, s := range services {
		if b, ok := have[s.Dir]; ok {
			built = append(built, b)
		}
	}
	return built, err
}

func (c *Cached) keep(b Built, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[string]cachedImage{}
	}
	c.kept[b.Service.Dir] = cachedImage{key, b.Image}
}

// image returns the image that is remembered, if it is of that key and its layers' files are still there.
func (c *Cached) image(s Service, key string) v1.Image {
	c.mu.Lock()
	kept, ok := c.kept[s.Dir]
	c.mu.Unlock()
	if !ok || key == "" || kept.key != key || !readable(kept.img) {
		return nil
	}
	return kept.img
}

// readable reports whether an image's layers can be read, or at least their first byte.
func readable(img v1.Image) bool {
	layers, err := img.Layers()
	if err != nil {
		return false
	}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			return false
		}
		_, err = io.ReadFull(r, make([]byte, 1))
		r.Close()
		if err != nil {
			return false
		}
	}
	return true
}
