package images

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// A person reads the steps as the Dockerfile has them: without the mounts that were added to them.
func TestStepsAreNamedAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	mounts := pipMounts
	step := &controlapi.Vertex{Digest: "sha256:1", Name: "[2/3] RUN " + mounts + " --mount=type=secret,id=token pip install x", Started: timestamppb.New(time.Unix(1, 0))}
	failed := proto.CloneOf(step)
	failed.Completed, failed.Error = timestamppb.New(time.Unix(2, 0)), "exit code 1"
	var shown []string
	ctx := progress.With(t.Context(), func(u progress.Update) { shown = append(shown, u.What) })
	s := steps{names: map[string]string{}, logs: map[string]*strings.Builder{}, done: map[string]bool{}}
	for _, status := range []*controlapi.StatusResponse{
		{Vertexes: []*controlapi.Vertex{step}},
		{Vertexes: []*controlapi.Vertex{failed}, Logs: []*controlapi.VertexLog{{Vertex: "sha256:1", Msg: []byte("no matching distribution\n")}}},
	} {
		readStatus(t, ctx, &s, status)
	}
	const written = "[2/3] RUN --mount=type=secret,id=token pip install x"
	if len(shown) != 1 || shown[0] != "build query: "+written {
		t.Errorf("shown: %q", shown)
	}
	if got := s.failure(); got != written+"\nno matching distribution" {
		t.Errorf("failure: %q", got)
	}
}

func readStatus(t *testing.T, ctx context.Context, s *steps, status *controlapi.StatusResponse) {
	t.Helper()
	raw, err := proto.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	aux, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	s.read(ctx, "query", aux)
}
