package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Nodes are the machines of one cluster, by their names.
type Nodes map[string]Node

// Each does something with all nodes at the same time, to its end with each of them whatever becomes of the others.
// Of several nodes each error says which node it is about.
func (n Nodes) Each(ctx context.Context, do func(context.Context, Node) error) error {
	return n.join(n.each(func(_ string, node Node) error { return do(ctx, node) }))
}

func (n Nodes) each(do func(name string, node Node) error) map[string]error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := map[string]error{}
	for name, node := range n {
		wg.Go(func() {
			if err := do(name, node); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[name] = err
			}
		})
	}
	wg.Wait()
	return errs
}

func (n Nodes) join(errs map[string]error) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		err := errs[name]
		if len(n) > 1 {
			err = fmt.Errorf("node %s: %w", name, err)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Retag is [Retag] on every node: a Pod may be on any.
func (n Nodes) Retag(ctx context.Context, names map[string]string) error {
	return n.Each(ctx, func(ctx context.Context, node Node) error { return Retag(ctx, node, names) })
}

// Images returns the manifest digests of the images that every node has, by normalised reference: those that a Pod finds
// wherever it runs. A name that doesn't stand for the same image everywhere is left out.
func (n Nodes) Images(ctx context.Context) (map[string]string, error) {
	var mu sync.Mutex
	var common map[string]string
	err := n.Each(ctx, func(ctx context.Context, node Node) error {
		have, err := NodeImages(ctx, node)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if common == nil {
			common = have
		}
		maps.DeleteFunc(common, func(ref, digest string) bool { return have[ref] != digest })
		return nil
	})
	return common, err
}

// LoadAll is [Load] for all nodes of a cluster at the same time. What is sent is read once, however many nodes there are,
// and is never in memory as a whole: the nodes get the same archive at the pace of the slowest, and those that lack
// nothing get none.
//
// A node that fails keeps the others from nothing. The error then says which ones failed: on them no name of a broken image
// is left, and on the others the images are as they should be.
func LoadAll(ctx context.Context, nodes Nodes, images map[name.Tag]v1.Image) (Report, error) {
	began := time.Now()
	all := make([]named, 0, len(images))
	for _, tag := range slices.SortedFunc(maps.Keys(images), func(a, b name.Tag) int { return cmp.Compare(Normalised(a), Normalised(b)) }) {
		p, err := takeApart(images[tag])
		if err != nil {
			return Report{}, fmt.Errorf("read image %s: %w", tag, err)
		}
		all = append(all, named{Normalised(tag), p})
	}
	done, errs := load(ctx, nodes, all, false)
	// Between asking what a node has and importing, containerd may collect a layer that no image names. The import
	// then fails, and the node lacks something that it was not sent: only then is there a second attempt. It relies on no
	// layer of the node's: those that arrived with the first attempt are named by nothing, and may be collected next.
	again := Nodes{}
	for name, err := range errs {
		if ctx.Err() != nil || errors.Is(err, errSource) {
			continue
		}
		if s, stateErr := readNodeState(ctx, nodes[name]); stateErr == nil && makePlan(all, s).sendsMoreThan(done) {
			again[name] = nodes[name]
			delete(errs, name)
		}
	}
	if len(again) > 0 {
		var more map[string]error
		done, more = load(ctx, again, all, true)
		maps.Copy(errs, more)
	}
	if err := nodes.join(errs); err != nil {
		return Report{}, err
	}
	done.report.Took = time.Since(began)
	return done.report, nil
}

// load makes one attempt, and returns what it sent and the errors of the nodes that failed. With whole, all layers of an
// image travel that isn't there whole.
func load(ctx context.Context, nodes Nodes, all []named, whole bool) (plan, map[string]error) {
	var mu sync.Mutex
	lacking := Nodes{}
	var states []nodeState // of those that lack something
	errs := nodes.each(func(name string, node Node) error {
		s, err := readNodeState(ctx, node)
		s.unreliable = whole
		if err != nil || len(makePlan(all, s).send) == 0 {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		lacking[name], states = node, append(states, s)
		return nil
	})
	p := makePlan(all, states...)
	if len(lacking) == 0 {
		return p, errs
	}
	imports := importArchive(ctx, lacking, p)
	removed := map[string]bool{}
	maps.Copy(errs, lacking.each(func(name string, node Node) error {
		old, err := p.settle(ctx, node, imports[name])
		mu.Lock()
		defer mu.Unlock()
		for _, ref := range old {
			removed[ref] = true
		}
		return err
	}))
	p.report.Removed = slices.Sorted(maps.Keys(removed))
	return p, errs
}
