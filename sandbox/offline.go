package sandbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
)

// LacksError lists what a bring-up offline takes and this machine hasn't. Nothing was started.
type LacksError struct {
	Lacks []images.Lack `json:"lacks"`
}

// Error is one line a thing.
func (e *LacksError) Error() string {
	lines := []string{fmt.Sprintf("offline, and %d things that are needed are not on this machine:", len(e.Lacks))}
	if len(e.Lacks) == 1 {
		lines[0] = "offline, and one thing that is needed is not on this machine:"
	}
	for _, l := range e.Lacks {
		lines = append(lines, "  "+l.String())
	}
	return strings.Join(lines, "\n")
}

// checkOffline refuses a bring-up that can't come to its end without a network. It is part of the phase "read", before
// which nothing is started.
func (b *bringUp) checkOffline(ctx context.Context) error {
	if !b.record.Offline {
		return nil
	}
	lacks, err := b.lacks(ctx)
	if err != nil {
		return fmt.Errorf("look for what is needed offline: %w", err)
	}
	if len(lacks) > 0 {
		return &LacksError{lacks}
	}
	return nil
}

// lacks returns all that is missing, as far as it can be told before anything is built. What stands needs nothing.
func (b *bringUp) lacks(ctx context.Context) ([]images.Lack, error) {
	var lacks []images.Lack
	stands, err := b.standingNodeImage(ctx)
	if err != nil {
		return nil, err
	}
	if !stands {
		ref, ok, err := nodeImages(b.session.docker, b.cache, nil).Has(ctx, b.record.NodeImage)
		if err != nil {
			return nil, err
		}
		if !ok {
			lacks = append(lacks, images.Lack{Kind: images.LackImage, Name: ref, Why: "the cluster's node runs it"})
		}
	}
	ok, err := b.thirdParty().Has(ctx, brokerImage)
	if err != nil {
		return nil, err
	}
	if !ok {
		lacks = append(lacks, images.Lack{Kind: images.LackImage, Name: brokerImage, Why: "the broker runs it"})
	}
	if sources, err := images.Fingerprint(b.workspace.dir, b.record.buildSettings()...); err != nil {
		return nil, err
	} else if sources == b.record.Sources {
		if stand, err := b.lookAtNodes(ctx); err == nil && stand { // an error: a node doesn't run, or isn't there
			return lacks, nil
		}
	}
	more, err := b.builders().Lacks(ctx, b.workspace.found.Services)
	return append(lacks, more...), err
}
