package cluster

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"
)

// Config says which cluster a sandbox has.
type Config struct {
	Sandbox string // its name: a DNS label of at most 39 characters (the node's host name is made from it)

	// NodeImage is a kindest/node or one like it. It must be in the engine already, or kind pulls it.
	NodeImage string

	// KubernetesVersion of the image, as "v1.37.2"; empty: [Cluster.Create] reads it from the image.
	KubernetesVersion string

	Network   Network
	StateDir  string // private folder of the sandbox; the cluster keeps its kubeconfig, record and policies there
	LaunchDir string // host folder that the node mounts, for the orchestrator's /app/etcd
	MountDir  string // host folder that the node mounts, see [Mount]

	WorkspaceDir string // host folder that the node mounts, see [Datasets]

	Nodes int // how many, the control plane included; 0 is 1
}

// Where the node mounts the host's folders.
const (
	nodeLaunchDir    = "/dynsandbox/launch-files"
	nodeAdmissionDir = "/etc/kubernetes/dynsandbox-admission"
)

// MinimumVersion is the lowest Kubernetes that has MutatingAdmissionPolicy without feature gates, and
// staticPolicyVersion the lowest whose API server loads policies from files without one.
const (
	MinimumVersion      = "v1.36.0"
	staticPolicyVersion = "v1.37.0"
)

func (c Config) validate() error {
	var errs []error
	if c.Sandbox == "" || len(c.Sandbox) > 39 {
		errs = append(errs, fmt.Errorf("sandbox name %q: must have 1 to 39 characters", c.Sandbox))
	}
	if !filepath.IsAbs(c.StateDir) {
		errs = append(errs, fmt.Errorf("state folder %q: must be absolute", c.StateDir))
	}
	if c.LaunchDir != "" && !filepath.IsAbs(c.LaunchDir) {
		errs = append(errs, fmt.Errorf("launch files' folder %q: must be absolute", c.LaunchDir))
	}
	if c.MountDir != "" && !filepath.IsAbs(c.MountDir) {
		errs = append(errs, fmt.Errorf("folder of mounts %q: must be absolute", c.MountDir))
	}
	if c.WorkspaceDir != "" && !filepath.IsAbs(c.WorkspaceDir) {
		errs = append(errs, fmt.Errorf("workspace %q: must be absolute", c.WorkspaceDir))
	}
	if c.Nodes < 0 || c.Nodes > MaxNodes {
		errs = append(errs, fmt.Errorf("%d nodes: a cluster has 1 to %d", c.Nodes, MaxNodes))
	}
	return errors.Join(errs...)
}

// policyRoute says how the admission policies come into a cluster of this Kubernetes version.
func (c Config) policyRoute(kubernetes string) (static bool, err error) {
	v, err := version.ParseSemantic(kubernetes)
	if err != nil {
		return false, fmt.Errorf("kubernetes version of node image %s: %w", c.NodeImage, err)
	}
	if v.LessThan(version.MustParseSemantic(MinimumVersion)) {
		return false, fmt.Errorf("node image %s has Kubernetes %s; the lowest that works is v%d.%d (it has MutatingAdmissionPolicy, which makes Pods use images that were loaded)",
			c.NodeImage, kubernetes, version.MustParseSemantic(MinimumVersion).Major(), version.MustParseSemantic(MinimumVersion).Minor())
	}
	return v.AtLeast(version.MustParseSemantic(staticPolicyVersion)), nil
}

// kindConfig returns kind's configuration: nodes as fast to start as it gets, with everything that a
// development cluster can do without durability traded for speed.
func (c Config) kindConfig(static bool, q Quirks) *v1alpha4.Cluster {
	var mounts []v1alpha4.Mount // of every node: Pods may be on any
	if c.LaunchDir != "" {
		mounts = append(mounts, v1alpha4.Mount{HostPath: c.LaunchDir, ContainerPath: nodeLaunchDir})
	}
	if c.MountDir != "" {
		mounts = append(mounts, v1alpha4.Mount{HostPath: c.MountDir, ContainerPath: nodeMountDir, Readonly: true})
	}
	if c.WorkspaceDir != "" {
		mounts = append(mounts, v1alpha4.Mount{HostPath: c.WorkspaceDir, ContainerPath: nodeWorkspaceDir, Readonly: true})
	}
	mounts = append(mounts, v1alpha4.Mount{HostPath: filepath.Join(c.StateDir, kubeletUnitFile), ContainerPath: nodeKubeletUnit, Readonly: true})
	node := v1alpha4.Node{Role: v1alpha4.ControlPlaneRole, Image: c.NodeImage, ExtraMounts: slices.Clone(mounts)}

	// The crash back-off's cap is 1 s, so that a typo in a service costs seconds. Images that were loaded belong
	// to every Pod, even where a pull was tried first: NeverVerify.
	kubelet := "kind: KubeletConfiguration\n" +
		"crashLoopBackOff:\n  maxContainerRestartPeriod: 1s\n" +
		"imagePullCredentialsVerificationPolicy: NeverVerify\n" + q.kubeletPatch()

	clusterPatch := "kind: ClusterConfiguration\n" +
		"encryptionAlgorithm: ECDSA-P256\n" + // RSA keys take seconds to make on two cores
		"etcd:\n  local:\n    extraArgs:\n    - name: unsafe-no-fsync\n      value: \"true\"\n" +
		// There is one of each. With an election, one that comes back waits until the lease that it held itself runs out.
		"controllerManager:\n  extraArgs:\n  - name: leader-elect\n    value: \"false\"\n" +
		"scheduler:\n  extraArgs:\n  - name: leader-elect\n    value: \"false\"\n" +
		// While the API server starts, its heap grows from nothing, and collecting the garbage of that is a fifth of its work.
		"apiServer:\n  extraEnvs:\n  - name: GOGC\n    value: \"400\"\n"
	if static {
		node.ExtraMounts = append(node.ExtraMounts, v1alpha4.Mount{HostPath: filepath.Join(c.StateDir, "admission"), ContainerPath: nodeAdmissionDir, Readonly: true})
		clusterPatch += "  extraArgs:\n  - name: admission-control-config-file\n    value: " + nodeAdmissionDir + "/" + admissionConfigFile + "\n" +
			"  extraVolumes:\n  - name: dynsandbox-admission\n    hostPath: " + nodeAdmissionDir + "\n    mountPath: " + nodeAdmissionDir +
			"\n    readOnly: true\n    pathType: Directory\n"
	}
	// By default the proxy waits a second before it follows a change of a Service's Pods. Until then requests go to the
	// addresses of before, and after a restart of the node other Pods have those.
	const proxy = "kind: KubeProxyConfiguration\nnftables:\n  minSyncPeriod: 10ms\niptables:\n  minSyncPeriod: 10ms\n"
	// What kubeadm is told of kubelet and proxy here, it tells the workers that join.
	node.KubeadmConfigPatches = []string{kubelet, clusterPatch, proxy}
	nodes := []v1alpha4.Node{node}
	if c.Nodes > 1 {
		// As in a cluster of one node, Pods may be on the control plane too.
		nodes[0].KubeadmConfigPatches = append(nodes[0].KubeadmConfigPatches, "kind: InitConfiguration\nnodeRegistration:\n  taints: []\n")
	}
	for _, name := range c.nodeNames()[1:] {
		// Not with the image's Pod network, which is for one node: the worker waits for one of its own (see ConnectPods).
		network := v1alpha4.Mount{HostPath: c.netDir(name), ContainerPath: nodeNetDir}
		nodes = append(nodes, v1alpha4.Node{Role: v1alpha4.WorkerRole, Image: c.NodeImage, ExtraMounts: append(slices.Clone(mounts), network)})
	}

	return &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Name:     Name(c.Sandbox),
		Nodes:    nodes,
		Networking: v1alpha4.Networking{
			IPFamily:         v1alpha4.IPv4Family,
			APIServerAddress: "127.0.0.1",
			KubeProxyMode:    q.proxyMode(),
		},
		ContainerdConfigPatches: q.containerdPatches(),
	}
}

// render returns the configuration as the YAML that kind reads, and that a person can use with it.
func render(k *v1alpha4.Cluster) ([]byte, error) {
	b, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("write kind configuration: %w", err)
	}
	return b, nil
}

// Name returns the kind cluster's name of a sandbox.
func Name(sandbox string) string { return "dynsandbox-" + sandbox }

// trimVersion cleans what an image's /kind/version holds.
func trimVersion(b []byte) string { return strings.TrimSpace(string(b)) }
