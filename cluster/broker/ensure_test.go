package broker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

var testConfig = Config{Sandbox: "a", Image: "rabbitmq", Network: "dynsandbox-a", Address: netip.MustParseAddr("10.213.7.10"), Password: "p"}

func standing(state string, labels map[string]string) container.InspectResponse {
	return enginetest.Container(ContainerName("a"), state, labels)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	want := testConfig.fingerprint("id")
	ours := map[string]string{engine.LabelSandbox: "a", labelConfig: want}
	for name, tc := range map[string]struct {
		c       container.InspectResponse
		offNet  bool
		verdict verdict
	}{
		"running":                       {c: standing("running", ours), verdict: runs},
		"stopped":                       {c: standing("exited", ours), verdict: stands},
		"never started":                 {c: standing("created", ours), verdict: unfit},
		"paused":                        {c: standing("paused", ours), verdict: unfit},
		"of a network that is no more":  {c: standing("running", ours), offNet: true, verdict: unfit},
		"made otherwise":                {c: standing("running", map[string]string{engine.LabelSandbox: "a", labelConfig: "x"}), verdict: unfit},
		"another sandbox's of its name": {c: standing("running", map[string]string{engine.LabelSandbox: "b", labelConfig: want}), verdict: foreign},
		"somebody's":                    {c: standing("exited", nil), verdict: foreign},
	} {
		if got := testConfig.judge(tc.c, want, !tc.offNet); got != tc.verdict {
			t.Errorf("%s: got %s, want %s", name, got, tc.verdict)
		}
	}
}

// A broker that runs is only asked to let its user in. One that doesn't is named when the time is up.
func TestEnsureRunning(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	c := standing("running", map[string]string{
		engine.LabelSandbox: "a", engine.LabelRole: role, labelConfig: testConfig.fingerprint("sha256:rabbitmq"),
	})
	c.NetworkSettings.Ports = nat.PortMap{amqpPort: {{HostIP: "127.0.0.1", HostPort: strconv.Itoa(port)}}}
	c.NetworkSettings.Networks = map[string]*network.EndpointSettings{"dynsandbox-a": {NetworkID: "n"}}
	e := &enginetest.Engine{
		Images: map[string]bool{"rabbitmq": true}, Containers: []container.InspectResponse{c},
		Networks: []network.Inspect{{Name: "dynsandbox-a", ID: "n"}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err = Ensure(ctx, e.Start(t), testConfig)
	var timeout *fault.Timeout
	if !errors.As(err, &timeout) || !strings.Contains(timeout.LastSeen, "connection refused") {
		t.Errorf("got %v, want a *fault.Timeout with the last refusal", err)
	}
	if len(e.Calls) != 0 || len(e.Containers) != 1 {
		t.Errorf("the engine was asked to %q", e.Calls)
	}
}

func TestEnsureForeign(t *testing.T) {
	t.Parallel()
	e := &enginetest.Engine{Images: map[string]bool{"rabbitmq": true}, Containers: []container.InspectResponse{standing("running", nil)}}
	if _, err := Ensure(t.Context(), e.Start(t), testConfig); err == nil || !strings.Contains(err.Error(), "isn't this sandbox's") {
		t.Errorf("got %v, want that the container isn't ours", err)
	}
	if len(e.Calls) != 0 {
		t.Errorf("the engine was asked to %q", e.Calls)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	labels := func(sandbox, r string) map[string]string {
		return map[string]string{engine.LabelSandbox: sandbox, engine.LabelRole: r}
	}
	e := &enginetest.Engine{Containers: []container.InspectResponse{
		enginetest.Container("a-broker", "running", labels("a", role)), enginetest.Container("b-broker", "running", labels("b", role)),
		enginetest.Container("a-other", "running", labels("a", "other")), enginetest.Container("unlabelled", "running", nil),
	}}
	if err := Remove(t.Context(), e.Start(t), "a"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"remove a-broker"}; !slices.Equal(e.Calls, want) {
		t.Errorf("the engine was asked to %q, want %q", e.Calls, want)
	}
}
