// Package cluster gives a sandbox its Kubernetes cluster: one kind node (or several) on a Docker network of its own,
// where images that were loaded are used whatever a manifest says about pulling.
//
// Start with [EnsureNetwork], then [New] and [Cluster.Create]; [Cluster.Client] then speaks to the API server:
//
//	network, err := cluster.EnsureNetwork(ctx, docker, "example", dir)
//	c, err := cluster.New(docker, cluster.Config{Sandbox: "example", NodeImage: image, Network: network, StateDir: dir, LaunchDir: files})
//	err = c.Create(ctx)                                      // returns with the pull policy in force
//	kube, err := c.Client()
//	rendered, err := cluster.RenderWorkspace(path, values)   // charts to objects, without a cluster
//	report, err := kube.Apply(ctx, append(cluster.OutsideObjects(network), rendered.Objects...))
//	err = kube.WaitReady(ctx, rendered.Objects)
//
// [Cluster.Nodes] run commands in the nodes, [Cluster.WaitContainerd] says when images may be sent to them (long
// before Create returns), and [Entry] lets the host reach Services by name.
//
// The package never touches the user's kubeconfig, and deletes only containers of its own kind cluster (and those by
// which it looks into node images). kind itself calls the docker command; nothing here does.
// [Cluster.Create] sets the environment variable KIND_EXPERIMENTAL_DOCKER_NETWORK, and leaves it set: a process may
// create clusters one after the other, not two at once.
package cluster
