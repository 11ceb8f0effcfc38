package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

func TestEnsureNetwork(t *testing.T) {
	t.Parallel()
	e := new(enginetest.Engine)
	docker := e.Start(t)
	made, err := EnsureNetwork(t.Context(), docker, "example", "/state/a")
	if err != nil {
		t.Fatal(err)
	}
	if !made.Subnet.Contains(made.Gateway) || !made.Subnet.Contains(made.Broker) || made.Gateway == made.Broker {
		t.Errorf("got %+v", made)
	}
	again, err := EnsureNetwork(t.Context(), docker, "example", "/state/a")
	if err != nil || again != made {
		t.Errorf("the second time: got %+v, %v, want %+v", again, err, made)
	}
	_, err = EnsureNetwork(t.Context(), docker, "example", "/state/b")
	for _, want := range []string{"/state/a", "/state/b"} {
		if !errors.Is(err, ErrOtherOwner) || !strings.Contains(err.Error(), want) {
			t.Errorf("another state folder: got %v, want ErrOtherOwner with %q", err, want)
		}
	}
	if want := []string{"create network dynsandbox-example"}; !slices.Equal(e.Calls, want) {
		t.Errorf("the engine was asked to %q, want %q", e.Calls, want)
	}
}

func TestEnsureNetworkOwner(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		labels map[string]string
		err    string
	}{
		"of an earlier version":      {labels: map[string]string{engine.LabelSandbox: "example"}},
		"of another kind altogether": {err: "isn't this sandbox's"},
		"of another sandbox":         {labels: map[string]string{engine.LabelSandbox: "other", engine.LabelOwner: "/state"}, err: "isn't this sandbox's"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &enginetest.Engine{Networks: []network.Inspect{{
				Name: "dynsandbox-example", ID: "n", Labels: tc.labels,
				IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.213.7.0/24", Gateway: "10.213.7.1"}}},
			}}}
			n, err := EnsureNetwork(t.Context(), e.Start(t), "example", "/state")
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if err == nil && (n.ID != "n" || n.Broker.String() != "10.213.7.10") {
				t.Errorf("got %+v", n)
			}
		})
	}
}
