package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// The states of a sandbox.
const (
	StateReady    = "ready"
	StateStarting = "starting"   // a bring-up is running
	StateFailed   = "failed"     // the last bring-up failed; what ran before may still run
	StateDegraded = "degraded"   // it was ready, but a part of it doesn't run or doesn't answer now
	StateDetached = "no session" // cluster or broker run, but no session process: `up` brings it back
	StateStopped  = "stopped"
)

// Status is what runs. It holds no secret.
type Status struct {
	Sandbox    string             `json:"sandbox"`
	State      string             `json:"state"`
	Error      string             `json:"error,omitempty"` // of the last bring-up
	Workspace  string             `json:"workspace"`
	Phases     []PhaseReport      `json:"phases,omitempty"`
	Services   []ServiceStatus    `json:"services,omitempty"`
	Agents     []string           `json:"agents,omitempty"` // online now
	Endpoints  []Endpoint         `json:"endpoints,omitempty"`
	Parts      []Part             `json:"containers,omitempty"`
	ImageBytes int64              `json:"imageBytes,omitempty"` // what images take of the node's disk: blobs, and layers as they are unpacked
	UnderWay   []UnderWay         `json:"underWay,omitempty"`   // changes that are being brought in
	Refused    string             `json:"refused,omitempty"`    // why the last change of launch files or charts isn't in the platform
	Unknown    []string           `json:"unknown,omitempty"`    // what couldn't be asked, and why
	Omissions  []cluster.Omission `json:"omissions,omitempty"`  // what the charts have and the sandbox leaves out, with the reason
	NotBuilt   []string           `json:"notBuilt,omitempty"`   // folders of the workspace that nothing refers to, and images without a folder
}

// ServiceStatus is one service of the workspace.
type ServiceStatus struct {
	Name     string   `json:"name"`
	Language string   `json:"language"`
	Image    string   `json:"image"`
	Newest   string   `json:"newest"`            // digest (image ID) of what the nodes have under that name
	Running  []string `json:"running,omitempty"` // digests (image IDs) that its containers run; none for a service of Jobs
	Stale    bool     `json:"stale"`             // a container runs something other than the newest
	Mounted  bool     `json:"mounted,omitempty"` // its new containers get it from the host
	Refused  string   `json:"refused,omitempty"` // why the last change isn't in the platform: the compiler's lines, or a crash's log
	Pods     int      `json:"pods"`
}

// Endpoint is an address at which something answers.
type Endpoint struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Part is one of the sandbox's containers in the engine.
type Part struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	State string `json:"state"`
}

// GetStatus asks the sandbox's session process, or says what there is without one.
func GetStatus(ctx context.Context, st State) (*Status, error) {
	record, err := st.Read()
	if err != nil {
		return nil, err
	}
	client, err := Dial(ctx, st)
	if err == nil {
		defer client.Close()
		return client.Status(ctx)
	}
	if !errors.Is(err, ErrNoSession) {
		return nil, err
	}
	status := &Status{Sandbox: st.Name, State: StateStopped, Workspace: record.Workspace}
	docker, err := engine.Connect(ctx)
	if err != nil {
		return status, nil // no engine: then nothing runs
	}
	defer docker.Close()
	if status.Parts, err = parts(ctx, docker, st.Name); err != nil {
		return nil, err
	}
	for _, p := range status.Parts {
		if p.State == "running" {
			status.State = StateDetached
		}
	}
	return status, nil
}

func parts(ctx context.Context, docker engineClient, sandbox string) ([]Part, error) {
	found, err := containers(ctx, docker, sandbox)
	if err != nil {
		return nil, err
	}
	var out []Part
	for _, c := range found {
		out = append(out, Part{Name: containerName(c), Image: c.Image, State: c.State})
	}
	return out, nil
}

// status is what the session process knows.
func (s *session) status(ctx context.Context) (*Status, error) {
	s.mu.Lock()
	up, ready, entry, store := s.up, s.holds.ready, s.holds.entry, s.holds.store
	s.mu.Unlock()
	record, err := s.state.Read()
	if err != nil {
		return nil, err
	}
	status := &Status{Sandbox: s.state.Name, State: StateStopped, Workspace: record.Workspace, UnderWay: s.work.report()}
	if up != nil {
		status.Phases = up.plan.report()
		select {
		case <-up.done:
			if errors.Is(up.err, ErrStopped) {
				status.Error = "the bring-up was broken off; dynsandbox up goes on from there"
			} else if up.err != nil {
				status.State, status.Error = StateFailed, s.scrub(up.err).Error()
			}
		default:
			status.State = StateStarting
		}
	}
	if status.Parts, err = parts(ctx, s.docker, s.state.Name); err != nil {
		return nil, err
	}
	if entry != nil {
		status.Endpoints = endpoints(entry, record, ready)
	}
	if store != nil {
		online, err := store.Online(ctx)
		if err != nil {
			status.Unknown = append(status.Unknown, s.scrub(err).Error())
		}
		status.Agents = slices.Sorted(maps.Keys(online))
	}
	if ready == nil {
		return status, nil
	}
	status.Omissions = ready.workspace.rendered.Omissions
	status.NotBuilt = notBuilt(ready.workspace.found)
	// What isn't there, or doesn't answer, is what status is asked for: it must not take the rest with it.
	short, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if status.Services, err = ready.services(short, record.Images); err != nil {
		status.Unknown = append(status.Unknown, s.scrub(err).Error())
	}
	if status.ImageBytes, err = s.nodes().Bytes(short); err != nil {
		status.Unknown = append(status.Unknown, s.scrub(err).Error())
	}
	if r := s.reloader(); r != nil {
		problems := r.problems()
		status.Refused = problems[workspaceItself]
		for i, svc := range status.Services {
			status.Services[i].Refused = problems[svc.Name]
		}
	}
	if status.State != StateStopped {
		return status, nil
	}
	status.State = StateReady
	for _, p := range status.Parts {
		if p.State != "running" {
			status.State = StateDegraded
		}
	}
	if len(status.Unknown) > 0 {
		status.State = StateDegraded
	}
	return status, nil
}

// askLimit is what the cluster gets to answer status.
const askLimit = 10 * time.Second

// endpoints lists where the platform answers. r may be nil: not known yet.
func endpoints(entry *cluster.Entry, record Record, r *ready) []Endpoint {
	out := []Endpoint{
		{"gateway", fmt.Sprintf("http://localhost:%d/api/v1/requestApproval", entry.Port())},
		{"config store", fmt.Sprintf("http://127.0.0.1:%d", record.EtcdPort)},
	}
	if r == nil {
		return out
	}
	for _, o := range r.workspace.rendered.Objects {
		if o.GetKind() == "Service" {
			out = append(out, Endpoint{o.GetNamespace() + "/" + o.GetName(), entry.URL(o.GetNamespace(), o.GetName())})
		}
	}
	return out
}

// services compares what the Pods run with what the nodes have.
func (r *ready) services(ctx context.Context, loaded map[string]Image) ([]ServiceStatus, error) {
	have, err := r.nodes.Images(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the nodes' images: %w", err)
	}
	pods, err := r.client.Clientset.CoreV1().Pods(corev1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var out []ServiceStatus
	for _, svc := range r.workspace.found.Services {
		ref := images.Normalised(svc.Refs[0])
		newest := have[ref]
		if l := loaded[ref]; l.Digest == newest {
			newest = l.ID // what containers show; the same image
		}
		s := ServiceStatus{Name: svc.Name, Language: svc.Language, Image: ref, Newest: newest}
		var stands bool // the mount has the newest
		s.Mounted, stands = r.mounted(svc, have[ref])
		for _, pod := range pods.Items {
			if pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil {
				continue
			}
			for _, c := range pod.Status.ContainerStatuses {
				if !standsFor(c.Image, ref) && !refersTo(pod, c.Name, ref) || c.State.Running == nil {
					continue
				}
				s.Pods++
				if !slices.Contains(s.Running, c.ImageID) {
					s.Running = append(s.Running, c.ImageID)
				}
				// What a mount stands in for doesn't matter.
				if !strings.HasSuffix(c.ImageID, newest) && !(stands && cluster.Mounted(&pod, c.Name, svc.Name)) {
					s.Stale = true
				}
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ServiceStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// standsFor reports whether an image's name is a reference, or one that a reload gave to what the reference stands for.
func standsFor(image, ref string) bool {
	known := normalised(image)
	return known == ref || strings.HasPrefix(known, ref[:strings.LastIndexByte(ref, ':')+1]+reloadTag)
}

// refersTo reports whether a Pod's container asked for an image by that reference: the status may show another
// name of the same image.
func refersTo(pod corev1.Pod, container, ref string) bool {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			return standsFor(c.Image, ref)
		}
	}
	return false
}

// notBuilt says, a line each, which folders nothing refers to, and which images have no folder.
func notBuilt(found images.Found) []string {
	var out []string
	for _, n := range found.NotBuilt {
		out = append(out, fmt.Sprintf("%s: %s", n.Dir, n.Reason))
	}
	for _, m := range found.Missing {
		out = append(out, fmt.Sprintf("%s has no folder in the workspace; asked for by %s", m.Name, m.WhoAsks))
	}
	return out
}

// WriteText prints the status for people.
func (s *Status) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "sandbox    %s: %s\nworkspace  %s\n", s.Sandbox, s.State, s.Workspace)
	if s.Error != "" {
		fmt.Fprintf(w, "error      %s\n", strings.ReplaceAll(s.Error, "\n", "\n           "))
	}
	for _, u := range s.UnderWay {
		fmt.Fprintf(w, "under way  %s\n", strings.ReplaceAll(u.String(), "\n", "\n           "))
	}
	if len(s.Agents) > 0 {
		fmt.Fprintf(w, "agents     %s\n", strings.Join(s.Agents, ", "))
	}
	if s.ImageBytes > 0 {
		fmt.Fprintf(w, "images     %.0f MB on the node\n", float64(s.ImageBytes)/1e6)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Phases) > 0 {
		fmt.Fprintf(t, "\nPHASE\tSTATE\tSECONDS\t\n")
		for _, p := range s.Phases {
			fmt.Fprintf(t, "%s\t%s\t%.1f\t%s\n", p.Name, p.State, p.Seconds, brief(p.Text))
		}
	}
	if len(s.Services) > 0 {
		fmt.Fprintf(t, "\nSERVICE\tLANGUAGE\tPODS\tIMAGE\tNEWEST\t\n")
		for _, v := range s.Services {
			stale := ""
			switch {
			case v.Stale:
				stale = "stale"
			case v.Mounted:
				stale = "mounted"
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", v.Name, v.Language, v.Pods, v.Image, short(v.Newest), stale)
		}
	}
	if len(s.Parts) > 0 {
		fmt.Fprintf(t, "\nCONTAINER\tSTATE\tIMAGE\n")
		for _, p := range s.Parts {
			fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, p.State, p.Image)
		}
	}
	if len(s.Endpoints) > 0 {
		fmt.Fprintf(t, "\nENDPOINT\tURL\n")
		for _, e := range s.Endpoints {
			fmt.Fprintf(t, "%s\t%s\n", e.Name, e.URL)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, v := range s.Services {
		if v.Refused != "" {
			fmt.Fprintf(w, "refused    %s: %s\n", v.Name, strings.ReplaceAll(v.Refused, "\n", "\n           "))
		}
	}
	if s.Refused != "" {
		fmt.Fprintf(w, "refused    %s: %s\n", workspaceItself, strings.ReplaceAll(s.Refused, "\n", "\n           "))
	}
	for _, u := range s.Unknown {
		fmt.Fprintf(w, "unknown    %s\n", u)
	}
	writeOmissions(w, s.Omissions)
	for _, n := range s.NotBuilt {
		fmt.Fprintf(w, "not built  %s\n", n)
	}
	return nil
}

// writeOmissions prints what is left out, a line for each chart and reason.
func writeOmissions(w io.Writer, all []cluster.Omission) {
	var heads []string
	names := map[string][]string{}
	for _, o := range all {
		head := fmt.Sprintf("of chart %s, %s", o.Chart, o.Reason)
		if names[head] == nil {
			heads = append(heads, head)
		}
		names[head] = append(names[head], o.Kind+" "+strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"))
	}
	for _, head := range heads {
		fmt.Fprintf(w, "left out   %s: %s\n", head, strings.Join(names[head], ", "))
	}
}

// short is a digest as people read it.
func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(12, len(hex))]
}
