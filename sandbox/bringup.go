package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/cluster/broker"
	"github.com/dynsandbox/dynsandbox/cluster/nodeimage"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// bringUp is one run of the phases. Its fields are filled by the phases in the order of their needs.
type bringUp struct {
	session *session
	opts    UpOptions
	feed    *feed
	record  Record
	cache   string
	began   time.Time

	// describe returns the cluster, once the network and the node image are known.
	describe func() (*cluster.Cluster, error)
	// builders returns the builders of services, once the workspace is read.
	builders func() images.Builders

	workspace  *workspace            // read
	network    cluster.Network       // network
	node       nodeimage.Choice      // node-image
	rabbit     images.Choice         // broker-image
	broker     broker.Broker         // broker
	files      fileStates            // what the workspace's files were like before they were read
	sources    images.Sources        // build: what is built
	built      map[name.Tag]v1.Image // build; nil when what stands is up to date
	loaded     bool                  // load
	started    bool                  // cluster: created or started in this bring-up
	client     *cluster.Client       // cluster
	mounts     []cluster.Mount       // deploy: what is mounted into Pods
	deployed   bool                  // deploy
	deployment string                // deploy: a hash of all that is deployed
	replayed   *ReplayReport         // scenario
}

func newBringUp(s *session, opts UpOptions, f *feed) *bringUp {
	b := &bringUp{session: s, opts: opts, feed: f, began: time.Now()}
	b.describe = sync.OnceValues(b.newCluster)
	b.builders = sync.OnceValue(b.newBuilders)
	return b
}

// plan is the whole bring-up. A new phase is one entry here and one file beside it.
// Phases that are Whole run under the context whole.
func (b *bringUp) plan(whole context.Context) *plan {
	return &plan{
		phases: []Phase{
			{Name: "read", Do: b.read},
			{Name: "network", Needs: []string{"read"}, Do: b.ensureNetwork},
			{Name: "config-store", Needs: []string{"network"}, Do: b.startStore},
			{Name: "tracing", Needs: []string{"network"}, Do: b.openTracing},
			{Name: "launch-files", Needs: []string{"config-store"}, Do: b.applyLaunchFiles},
			{Name: "node-image", Needs: []string{"read"}, Do: b.resolveNodeImage},
			{Name: "cluster", Needs: []string{"network", "node-image", "launch-files"}, Met: b.clusterRuns, Do: b.startCluster, Whole: true},
			{Name: "broker-image", Needs: []string{"read"}, Do: b.resolveBrokerImage},
			{Name: "broker", Needs: []string{"network", "broker-image"}, Do: b.startBroker},
			{Name: "build", Needs: []string{"read"}, Met: b.sourcesStand, Do: b.build},
			{Name: "load", Needs: []string{"build", "network", "node-image"}, Met: b.imagesStand, Do: b.load},
			{Name: "sensitive", Needs: []string{"cluster"}, Do: b.tellSensitive},
			{Name: "dns", Needs: []string{"cluster"}, Do: b.awaitDNS},
			{Name: "deploy", Needs: []string{"dns", "load", "broker", "launch-files"}, Do: b.deploy},
			{Name: "entry", Needs: []string{"cluster"}, Do: b.openEntry},
			{Name: "ready", Needs: []string{"deploy"}, Do: b.awaitReady},
			{Name: "scenario", Needs: []string{"ready", "entry", "sensitive"}, Met: b.scenarioPassed, Do: b.runScenario},
		},
		whole:  whole,
		scrub:  b.session.scrub,
		emit:   b.feed.phase,
		update: b.feed.progress,
	}
}

// run runs the plan and, when all went well, ends the feed with the summary.
func (b *bringUp) run(ctx context.Context, p *plan) error {
	var err error
	if b.record, err = b.session.state.Read(); err != nil {
		return err
	}
	if b.cache, err = CacheDir(); err != nil {
		return err
	}
	// Watched from before the workspace is read, so that no change is missed.
	if err := b.session.setWatch(!b.opts.NoWatch, b.record.Workspace); err != nil {
		return err
	}
	if b.files, err = readFileStates(b.record.Workspace); err != nil {
		return err
	}
	if err := p.run(ctx); err != nil {
		b.leave(b.session.reloader())
		return err
	}
	// The phases that chose another port left this copy alone, for others read it beside them.
	if b.record, err = b.session.state.Read(); err != nil {
		return err
	}
	sum, err := b.summary()
	if err != nil {
		return err
	}
	summary, err := json.Marshal(sum)
	if err != nil {
		return err
	}
	b.feed.add(&control.Event{Kind: control.Event_READY, Text: string(summary)})
	b.session.reloader().forgetOld(ctx, b.session.nodes()) // of a session that was killed in a reload, too
	return nil
}

// remember changes the sandbox's record, in memory and on disk.
func (b *bringUp) remember(change func(*Record)) error {
	change(&b.record)
	_, err := b.session.state.Update(func(r *Record) error { change(r); return nil })
	return err
}

// ensureNetwork is the phase "network".
func (b *bringUp) ensureNetwork(ctx context.Context) (string, error) {
	var err error
	if b.network, err = cluster.EnsureNetwork(ctx, b.session.docker, b.session.state.Name, b.session.state.Dir); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s", b.network.Name, b.network.Subnet), nil
}

// resolveNodeImage is the phase "node-image".
func (b *bringUp) resolveNodeImage(ctx context.Context) (string, error) {
	stands, err := b.standingNodeImage(ctx)
	if err != nil {
		return "", err
	}
	if stands {
		return b.node.Ref + " (the cluster's)", nil
	}
	builder := nodeImages(b.session.docker, b.cache, nil)
	if b.node, err = builder.Resolve(ctx, b.record.NodeImage, b.record.Offline); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s (%s)", b.node.Ref, b.node.Source), nil
}

// standingNodeImage reports whether a cluster stands already, and no other image was asked for. A newer version of this
// program may have another one to build, which that cluster wouldn't use.
func (b *bringUp) standingNodeImage(ctx context.Context) (bool, error) {
	image, kubernetes, ok := cluster.RecordedNodeImage(b.session.state.Dir)
	if !ok || b.record.NodeImage != "" {
		return false, nil
	}
	nodes, err := nodeContainers(ctx, b.session.docker, b.session.state.Name)
	if err != nil || len(nodes) == 0 {
		return false, err
	}
	b.node = nodeimage.Choice{Ref: image, KubernetesVersion: kubernetes}
	return true, nil
}

// resolveBrokerImage is the phase "broker-image".
func (b *bringUp) resolveBrokerImage(ctx context.Context) (string, error) {
	var err error
	if b.rabbit, err = b.thirdParty().Resolve(ctx, brokerImage); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s (%s)", b.rabbit.Ref, b.rabbit.Source), nil
}

// brokerImage is what upstream's chart runs.
const brokerImage = "rabbitmq:3-management"

// startBroker is the phase "broker".
func (b *bringUp) startBroker(ctx context.Context) (string, error) {
	var err error
	b.broker, err = broker.Ensure(ctx, b.session.docker, broker.Config{
		Sandbox: b.session.state.Name, Image: b.rabbit.Ref, Network: b.network.Name, Address: b.network.Broker,
		Password: b.record.BrokerPassword,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("at %s on the network, 127.0.0.1:%d here", b.broker.Address, b.broker.HostPort), nil
}

// ErrNotReady is returned to those who ask a session for what only a platform that is up has.
var ErrNotReady = errors.New("the platform isn't up")

// nodeImages returns the builder of node images.
func nodeImages(docker engineClient, cache string, log io.Writer) *nodeimage.Builder {
	return &nodeimage.Builder{Cache: filepath.Join(cache, "node-image"), Docker: docker, Install: installPackages, Log: log}
}

// NodeImages returns a builder of node images for this machine's engine, and a function that closes it. log gets the
// output of the tools; nil discards it.
func NodeImages(ctx context.Context, log io.Writer) (*nodeimage.Builder, func() error, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, nil, err
	}
	docker, err := engine.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	return nodeImages(docker, cache, log), docker.Close, nil
}
