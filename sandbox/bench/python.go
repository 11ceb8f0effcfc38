package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
)

// The Python service of the rows, which agents start in Jobs.
const (
	pythonService = "sql-query"
	pythonDir     = "python/sql-query"
	pythonFile    = "query.py"
	pythonText    = "the query is empty"
	pythonRef     = "docker.io/dynamos1/sql-query:main" // on the node
)

// pythonReload is the time from the save of a Python service of Jobs until the node has it: the next Job runs it.
func pythonReload(ctx context.Context, b *bench, n int) (samples, error) {
	return b.comparePython(ctx, n, nil)
}

// comparePython takes n samples, each with one of the peer unless that is nil.
func (b *bench) comparePython(ctx context.Context, n int, peer func(context.Context) (float64, error)) (s samples, err error) {
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	file, err := openSource(filepath.Join(b.workspace, pythonDir, pythonFile), pythonText)
	if err != nil {
		return s, err
	}
	defer func() {
		err = errors.Join(err, file.restore(), b.settled(context.WithoutCancel(ctx)))
	}()
	events, err := b.watch(ctx)
	if err != nil {
		return s, err
	}
	defer events.stop()
	for i := range n + 1 {
		events.forget()
		before, err := b.nodeDigest(ctx)
		if err != nil {
			return s, err
		}
		t := startTimer()
		if err := file.save(newMarker()); err != nil {
			return s, err
		}
		if err := events.await(ctx, "reloaded", pythonService); err != nil {
			return s, err
		}
		ours, theirs := t.seconds(), 0.0
		if after, err := b.nodeDigest(ctx); err != nil || after == before {
			return s, errors.Join(err, fmt.Errorf("the node has %s for %s, as before the change", after, pythonRef))
		}
		if err := b.settled(ctx); err != nil {
			return s, err
		}
		if peer != nil {
			if theirs, err = peer(ctx); err != nil {
				return s, err
			}
		}
		if i == 0 {
			continue // it made sure that the events flow, and filled the peer's caches
		}
		s.ours = append(s.ours, ours)
		s.addSteps(t, events.seen)
		if peer != nil {
			s.peer = append(s.peer, theirs)
		}
	}
	return s, nil
}

// nodeDigest is the manifest's digest of the Python service's image on the node.
func (b *bench) nodeDigest(ctx context.Context) (string, error) {
	have, err := b.node.Images(ctx)
	return have[pythonRef], err
}

// nodeLayers are the layers of the Python service's image on the node, lowest first: they are uncompressed there.
func (b *bench) nodeLayers(ctx context.Context) ([]string, error) {
	digest, err := b.nodeDigest(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := b.machine().Exec(ctx, nil, "ctr", "-n", "k8s.io", "content", "get", digest)
	if err != nil {
		return nil, err
	}
	var manifest struct{ Layers []struct{ Digest string } }
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", pythonRef, err)
	}
	var layers []string
	for _, l := range manifest.Layers {
		layers = append(layers, l.Digest)
	}
	return layers, nil
}
