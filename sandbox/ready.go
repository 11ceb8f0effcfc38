package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/cluster/broker"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// How long the parts of readiness may take. They are far above what is seen (10 s on two cores): a machine may be
// building at the same time.
const (
	workloadsWait = 5 * time.Minute
	agentsWait    = 2 * time.Minute
	// comeBack is how long an agent gets to register by itself before its Pod is replaced. DYNAMOS's agents hold a
	// lease of 5 s; some never register again once it is lost.
	comeBack = 12 * time.Second
)

// awaitDNS is the phase "dns": a service that starts before names resolve may crash, and some platforms don't recover
// from a main container that is restarted alone.
func (b *bringUp) awaitDNS(ctx context.Context) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, workloadsWait)
	defer cancel()
	return "names resolve", b.client.WaitDNS(waiting)
}

// awaitReady is the phase "ready": workloads available, every agent online, every queue consumed by one consumer.
func (b *bringUp) awaitReady(ctx context.Context) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, workloadsWait)
	defer cancel()
	if err := b.client.WaitPulled(waiting, b.workspace.rendered.Objects); err != nil {
		return "", err
	}
	c, err := b.describe()
	if err != nil {
		return "", err
	}
	started, err := c.StartedAt(ctx)
	if err != nil {
		return "", err
	}
	if err := b.client.WaitRunning(waiting, b.workspace.rendered.Objects, started); err != nil {
		return "", err
	}
	if err := c.WaitServices(waiting); err != nil {
		return "", err
	}
	healed, err := b.awaitAgents(ctx)
	if err != nil {
		return "", err
	}
	again, err := b.awaitQueues(ctx)
	if err != nil {
		return "", err
	}
	healed = append(healed, again...)
	if len(healed) > 0 {
		waiting, cancel := context.WithTimeout(ctx, workloadsWait)
		defer cancel()
		if err := b.client.WaitReady(waiting, b.workspace.rendered.Objects); err != nil {
			return "", err
		}
	}
	text := fmt.Sprintf("%d agents online, %d queues consumed", len(b.workspace.agents), len(b.queues()))
	if len(healed) > 0 {
		text += "; replaced the Pods of " + strings.Join(healed, ", ")
	}
	return text, nil
}

// awaitAgents waits until every agent is in the config store's list of those online. Agents whose lease ran out
// while the store was away, and that don't come back by themselves, get a new Pod.
func (b *bringUp) awaitAgents(ctx context.Context) (replaced []string, err error) {
	var names []string
	for _, a := range b.workspace.agents {
		names = append(names, a.Name)
	}
	progress.Report(ctx, progress.Update{What: "wait for the agents " + strings.Join(names, ", ")})
	store := b.session.store()
	if store == nil {
		return nil, ErrNotReady
	}
	short, cancel := context.WithTimeout(ctx, comeBack)
	defer cancel()
	if store.WatchOnline(short, names) == nil {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	online, err := store.Online(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range b.workspace.agents {
		if _, ok := online[a.Name]; ok {
			continue
		}
		if err := b.replace(ctx, a.Namespace, a.Deployment); err != nil {
			return replaced, err
		}
		replaced = append(replaced, a.Name)
	}
	long, cancel := context.WithTimeout(ctx, agentsWait)
	defer cancel()
	return replaced, store.WatchOnline(long, names)
}

// queue is one that a long-running service consumes, and the Deployment that does.
type queue struct{ Name, Namespace, Deployment string }

// queues returns the queues that must have a consumer before requests can be answered: every long-running service
// with a sidecar has one, named after the service (contract of the platform: NAME-in).
func (b *bringUp) queues() []queue {
	var out []queue
	for _, a := range b.workspace.agents {
		out = append(out, queue{a.Name + "-in", a.Namespace, a.Deployment})
	}
	for _, o := range b.workspace.rendered.Objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		if name, ok := coreQueues[o.GetName()]; ok {
			out = append(out, queue{name, o.GetNamespace(), o.GetName()})
		}
	}
	slices.SortFunc(out, func(a, b queue) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// coreQueues are the queues of the services that every workspace has, by Deployment: their names are compiled in.
var coreQueues = map[string]string{
	"api-gateway":     "api-gateway-in",
	"orchestrator":    "orchestrator-in",
	"policy-enforcer": "policyEnforcer-in",
}

// awaitQueues waits until every queue has exactly one consumer. With none, messages wait for nobody; with two (a
// main container that was restarted alone leaves its sidecar's old consumer behind), every second one is lost: then
// the Pod is replaced.
func (b *bringUp) awaitQueues(ctx context.Context) (replaced []string, err error) {
	began := time.Now()
	for {
		off, seen, err := b.queuesOff(ctx)
		if err != nil {
			return replaced, err
		}
		if len(off) == 0 {
			return replaced, nil
		}
		progress.Report(ctx, progress.Update{What: "wait for one consumer a queue: " + seen})
		if time.Since(began) > comeBack && len(replaced) == 0 {
			for _, q := range off {
				if err := b.replace(ctx, q.Namespace, q.Deployment); err != nil {
					return replaced, err
				}
				replaced = append(replaced, q.Deployment)
			}
		}
		if time.Since(began) > agentsWait {
			return replaced, &fault.Timeout{WaitedFor: "one consumer on every queue", LastSeen: seen, After: time.Since(began)}
		}
		// The broker has nothing to subscribe to for this.
		select {
		case <-ctx.Done():
			return replaced, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// queuesOff returns the queues without exactly one consumer, and what was seen in words.
func (b *bringUp) queuesOff(ctx context.Context) (off []queue, seen string, err error) {
	all := b.queues()
	var names, parts []string
	for _, q := range all {
		names = append(names, q.Name)
	}
	counts, err := broker.Consumers(ctx, b.broker.HostPort, b.record.BrokerPassword, names...)
	if err != nil {
		return nil, "", err
	}
	for _, q := range all {
		if counts[q.Name] != 1 {
			off = append(off, q)
			parts = append(parts, fmt.Sprintf("%s has %d", q.Name, counts[q.Name]))
		}
	}
	return off, strings.Join(parts, ", "), nil
}

// replace replaces the Pods of a Deployment, its namespace's Jobs first: Pods of Jobs can carry the labels of the
// Deployment's, and would come back.
func (b *bringUp) replace(ctx context.Context, namespace, deployment string) error {
	progress.Report(ctx, progress.Update{What: "replace the Pod of " + namespace + "/" + deployment})
	foreground := metav1.DeletePropagationForeground
	jobs := b.client.Clientset.BatchV1().Jobs(namespace)
	err := jobs.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &foreground}, metav1.ListOptions{LabelSelector: "app=" + deployment})
	if err != nil {
		return fmt.Errorf("delete the jobs of %s/%s: %w", namespace, deployment, err)
	}
	d, err := b.client.Clientset.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return err
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return err
	}
	grace := int64(1)
	err = b.client.Clientset.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &grace}, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return fmt.Errorf("delete the pods of %s/%s: %w", namespace, deployment, err)
	}
	return nil
}

// deploy is the phase "deploy": everything that the charts have goes into the cluster.
func (b *bringUp) deploy(ctx context.Context) (string, error) {
	if err := b.ensureMounts(ctx); err != nil { // the objects tell of them
		return "", err
	}
	if err := b.check(ctx); err != nil {
		return "", err
	}
	report, err := b.applyObjects(ctx)
	if err != nil {
		return "", err
	}
	b.deployed = true
	for _, o := range report.Skipped {
		b.feed.note("left out: " + o.String())
	}
	return report.String(), nil
}

// check has the cluster look at everything that the charts have before any of it is applied. What it has taken once is known.
func (b *bringUp) check(ctx context.Context) error {
	objects, err := b.objects()
	if err != nil {
		return err
	}
	hash, err := hashObjects(objects)
	if err != nil {
		return err
	}
	record, err := b.session.state.Read()
	if err != nil || record.Applied == hash {
		return err
	}
	return b.client.Check(ctx, os.DirFS(b.workspace.dir), objects)
}

// apply brings everything that the charts have into the cluster, with the mounts that it needs.
func (b *bringUp) apply(ctx context.Context) (deployed, error) {
	if err := b.ensureMounts(ctx); err != nil {
		return deployed{}, err
	}
	return b.applyObjects(ctx)
}

// applyObjects brings everything that the charts have into the cluster, and removes what they have no more: before anybody
// waits for what is new, as two may not consume one queue.
func (b *bringUp) applyObjects(ctx context.Context) (deployed, error) {
	objects, err := b.objects()
	if err != nil {
		return deployed{}, err
	}
	if b.deployment, err = hashObjects(objects); err != nil {
		return deployed{}, err
	}
	if err := b.client.ClearDatasets(ctx, b.workspace.datasets); err != nil {
		return deployed{}, err
	}
	report, err := b.client.Apply(ctx, objects)
	if err != nil {
		return deployed{Report: report}, err
	}
	if err := b.ensureDatasets(ctx); err != nil {
		return deployed{Report: report}, err
	}
	gone, err := b.client.Prune(ctx, objects)
	if err == nil {
		err = b.remember(func(r *Record) { r.Applied = b.deployment })
	}
	return deployed{report, gone}, err
}

// deployed is what came of what the charts have.
type deployed struct {
	cluster.Report
	removed []string
}

func (d deployed) String() string {
	said := fmt.Sprintf("%d objects created, %d changed, %d unchanged", len(d.Created), len(d.Changed), len(d.Unchanged))
	if len(d.removed) > 0 {
		said += fmt.Sprintf(", %d removed", len(d.removed))
	}
	return said
}

// objects returns what is applied: the charts' objects, and those through which Pods reach what runs outside.
func (b *bringUp) objects() ([]cluster.Object, error) {
	record, err := b.session.state.Read() // a later bring-up, which failed, may have changed it
	if err != nil {
		return nil, err
	}
	objects := append(cluster.OutsideObjects(b.network), b.workspace.datasets.Objects()...)
	for _, o := range b.workspace.rendered.Objects {
		if b.session.work.restarting(o.ID()) {
			record = steady(record, o)
		}
		p, err := pinned(o, record)
		if err == nil {
			p, err = hurried(p)
		}
		if err == nil {
			err = annotateMounts(p, b.mounts)
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, p)
	}
	if len(objects) == 0 {
		return nil, errors.New("the workspace's charts have no objects")
	}
	return objects, nil
}
