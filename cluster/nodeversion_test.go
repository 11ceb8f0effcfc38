package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

// A look into an image leaves no container, and takes those away that killed looks have left.
func TestNodeImageVersion(t *testing.T) {
	t.Parallel()
	look := map[string]string{engine.LabelRole: roleLook}
	left, now := enginetest.Container("left", "created", look), enginetest.Container("under-way", "created", look)
	left.Created = time.Now().Add(-time.Hour).Format(time.RFC3339Nano)
	e := &enginetest.Engine{Version: "v1.36.1\n", Containers: []container.InspectResponse{left, now, enginetest.Container("others", "created", nil)}}
	got, err := NodeImageVersion(t.Context(), e.Start(t), "example/node:mine")
	if err != nil || got != "v1.36.1" {
		t.Errorf("got %q, %v", got, err)
	}
	var names []string
	for _, c := range e.Containers {
		names = append(names, c.ID)
	}
	if want := []string{"under-way", "others"}; !slices.Equal(names, want) {
		t.Errorf("containers %q, want %q", names, want)
	}
}
