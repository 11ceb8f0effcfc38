package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Nodes are the machines of one cluster, by their names.
type Nodes map[string]*Node

// Each does something with all nodes at the same time, to its end with each of them whatever becomes of the others.
// Of several nodes each error says which node it is about.
func (n Nodes) Each(ctx context.Context, do func(context.Context, *Node) error) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	errs := map[string]error{}
	for name, node := range n {
		wg.Go(func() {
			err := do(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
	}
	wg.Wait()
	return joinErrors(errs)
}

// joinErrors joins what became of each node: of several each error says which one it is about.
func joinErrors(errs map[string]error) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		err := errs[name]
		if err != nil && len(errs) > 1 {
			err = fmt.Errorf("node %s: %w", name, err)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Connect is [Node.Connect] for every node.
func (n Nodes) Connect(ctx context.Context) error {
	return n.Each(ctx, func(ctx context.Context, node *Node) error { return node.Connect(ctx) })
}

// Retag is [Node.Retag] on every node: a Pod may be on any.
func (n Nodes) Retag(ctx context.Context, names map[string]string) error {
	return n.Each(ctx, func(ctx context.Context, node *Node) error { return node.Retag(ctx, names) })
}

// Images returns the manifest digests of the images that every node has, by normalised reference: those that a Pod finds
// wherever it runs. A name that doesn't stand for the same image everywhere is left out.
func (n Nodes) Images(ctx context.Context) (map[string]string, error) {
	var mu sync.Mutex
	var common map[string]string
	err := n.Each(ctx, func(ctx context.Context, node *Node) error {
		have, err := node.Images(ctx)
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
