package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/dynsandbox/dynsandbox/cluster"
)

// Settings are what the user asks of a sandbox; what is nil or empty leaves what it has.
type Settings struct {
	Workspace string  // default: the one that the current folder lies in
	NodeImage *string // "" is the default: what kind pins, or one built here
	Nodes     int     // of the cluster, at most MaxNodes; default: 1
	Offline   *bool
	Mount     *bool             // services are mounted from the host into Pods
	Debug     *bool             // Go services are built for a debugger
	BuildArgs map[string]string // of Dockerfiles; an empty one takes all of them back
	HTTPPort  int               // default: 8080, or a free one
}

// MaxNodes is how many nodes a sandbox's cluster can have.
const MaxNodes = cluster.MaxNodes

// ErrOtherNodes is returned where another number of nodes is asked for than the cluster that stands has.
var ErrOtherNodes = errors.New("the sandbox's cluster has another number of nodes, which stays as it is")

// Configure records how the sandbox is made: on the first call everything is chosen, later only what is asked for
// changes. dir is the folder from which a workspace is looked for.
func Configure(st State, want Settings, dir string) error {
	// What is refused makes no sandbox.
	r, err := st.Read()
	if err != nil && !errors.Is(err, ErrNoSandbox) {
		return err
	}
	if has, ok := cluster.RecordedNodes(st.Dir); ok && want.Nodes != 0 && want.Nodes != has {
		return fmt.Errorf("%w: it was made with --nodes %d", ErrOtherNodes, has)
	}
	if err := r.set(st.Name, want, dir); err != nil {
		return err
	}
	_, err = st.Update(func(r *Record) error { return r.set(st.Name, want, dir) })
	return err
}

// set changes what is wanted, and chooses what was never chosen.
func (r *Record) set(sandbox string, want Settings, dir string) error {
	if err := r.setWorkspace(sandbox, want.Workspace, dir); err != nil {
		return err
	}
	if want.NodeImage != nil {
		r.NodeImage = *want.NodeImage
	}
	if want.Nodes != 0 {
		if want.Nodes < 1 || want.Nodes > MaxNodes {
			return fmt.Errorf("%d nodes: a cluster has 1 to %d", want.Nodes, MaxNodes)
		}
		r.Nodes = want.Nodes
	}
	if want.Offline != nil {
		r.Offline = *want.Offline
	}
	if want.Mount != nil {
		r.Mount = *want.Mount
	}
	if want.Debug != nil {
		r.Debug = *want.Debug
	}
	if want.BuildArgs != nil {
		r.BuildArgs = want.BuildArgs
	}
	if want.HTTPPort != 0 {
		r.HTTPPort, r.PortAsked = want.HTTPPort, true
	}
	var err error
	if r.HTTPPort == 0 {
		if r.HTTPPort, err = loopbackPort(defaultHTTPPort); err != nil {
			return err
		}
	}
	if r.EtcdPort == 0 {
		if r.EtcdPort, err = loopbackPort(etcdPort); err != nil {
			return err
		}
	}
	if r.BrokerPassword == "" {
		r.BrokerPassword = rand.Text()
	}
	return nil
}

// setWorkspace keeps a sandbox at its workspace, unless that isn't one any more: then it has moved, or is gone.
func (r *Record) setWorkspace(sandbox, want, dir string) error {
	found := want
	if found == "" {
		if r.Workspace != "" && checkWorkspace(r.Workspace) == nil {
			return nil
		}
		var err error
		if found, err = FindWorkspace(dir); err != nil {
			return err
		}
	}
	abs, err := filepath.Abs(found)
	if err != nil {
		return err
	}
	if err := checkWorkspace(abs); err != nil {
		return err
	}
	if r.Workspace != "" && r.Workspace != abs && checkWorkspace(r.Workspace) == nil {
		return fmt.Errorf("%w: %q was made for %s, not %s", ErrOtherWorkspace, sandbox, r.Workspace, abs)
	}
	r.Workspace = abs
	return nil
}

// defaultHTTPPort is the HTTP entry's where it is free.
const defaultHTTPPort = 8080

// loopbackPort returns the preferred port if it is free on loopback, else another that is.
func loopbackPort(preferred int) (int, error) {
	for _, port := range []int{preferred, 0} {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, errors.New("no free port on the loopback interface")
}

// Variable is one that other tools read from their environment.
type Variable struct{ Name, Value string }

// Environment returns what other tools need to reach the sandbox.
func Environment(st State) ([]Variable, error) {
	record, err := st.Read()
	if err != nil {
		return nil, err
	}
	return []Variable{
		{"KUBECONFIG", st.Kubeconfig()},
		{"ETCDCTL_ENDPOINTS", fmt.Sprintf("http://127.0.0.1:%d", record.EtcdPort)},
		{"DYNSANDBOX_NAME", st.Name},
		{"DYNSANDBOX_URL", fmt.Sprintf("http://localhost:%d", record.HTTPPort)},
	}, nil
}
