package cluster

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// OutsideObjects returns the objects through which Pods reach what runs outside the cluster, under the names that
// DYNAMOS has compiled in: the config store and the telemetry collector at the network's gateway, the broker at
// its own address; and the volume of launch files. Their namespaces are among them: apply all in one list with the
// charts' objects, these first, so that a chart's own Namespace wins.
func OutsideObjects(n Network) []Object {
	etcd := port{"client", 2379}
	amqp := port{"amqp", 5672}
	collector := []port{{"opencensus", 55678}, {"otlp", 4317}}
	objects := []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "core"}},
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "orchestrator"}},
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "linkerd-jaeger"}},

		// Three names, one server: clients have all three compiled in, and one that doesn't resolve costs time.
		service("core", "etcd-headless", true, etcd),
		endpoints("core", "etcd-headless", []endpoint{{n.Gateway, "etcd-0"}, {n.Gateway, "etcd-1"}, {n.Gateway, "etcd-2"}}, etcd),

		service("core", "rabbitmq", false, amqp),
		endpoints("core", "rabbitmq", []endpoint{{n.Broker, ""}}, amqp),

		// Services send their traces here at every start. A name that doesn't resolve keeps them waiting for
		// a DNS time-out; an address where nothing listens refuses at once.
		service("linkerd-jaeger", "collector", false, collector...),
		endpoints("linkerd-jaeger", "collector", []endpoint{{n.Gateway, ""}}, collector...),
	}
	objects = append(objects, launchFiles()...)
	out := make([]Object, len(objects))
	for i, o := range objects {
		out[i] = Object{Unstructured: &unstructured.Unstructured{Object: o}}
	}
	return out
}

type port struct {
	name   string
	number int64
}

type endpoint struct {
	address  netip.Addr
	hostname string // of a headless Service: gets a DNS name of its own
}

// service returns a Service without a selector: its endpoints are ours to say.
func service(namespace, name string, headless bool, ports ...port) map[string]any {
	var list []any
	for _, p := range ports {
		list = append(list, map[string]any{"name": p.name, "port": p.number, "protocol": "TCP", "targetPort": p.number})
	}
	spec := map[string]any{"ports": list}
	if headless {
		spec["clusterIP"] = "None"
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec":     spec,
	}
}

// endpoints returns the EndpointSlice of a Service. Its ports must be named like the Service's: one-sided names
// give "connection refused", and no error anywhere.
func endpoints(namespace, service string, to []endpoint, ports ...port) map[string]any {
	var list, addresses []any
	for _, p := range ports {
		list = append(list, map[string]any{"name": p.name, "port": p.number, "protocol": "TCP"})
	}
	for _, e := range to {
		one := map[string]any{"addresses": []any{e.address.String()}, "conditions": map[string]any{"ready": true}}
		if e.hostname != "" {
			one["hostname"] = e.hostname
		}
		addresses = append(addresses, one)
	}
	return map[string]any{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata": map[string]any{
			"name": service + "-dynsandbox", "namespace": namespace,
			"labels": map[string]any{
				"kubernetes.io/service-name":             service,
				"endpointslice.kubernetes.io/managed-by": "dynsandbox",
			},
		},
		"addressType": "IPv4",
		"endpoints":   addresses,
		"ports":       list,
	}
}

// launchFiles returns the volume behind the orchestrator's /app/etcd, bound to its claim beforehand: the dynamic
// provisioner must not get to it first.
func launchFiles() []map[string]any {
	const size = "20Mi"
	return []map[string]any{
		{
			"apiVersion": "v1", "kind": "PersistentVolume",
			"metadata": map[string]any{"name": "dynsandbox-launch-files"},
			"spec": map[string]any{
				"capacity":                      map[string]any{"storage": size},
				"accessModes":                   []any{"ReadWriteOnce"},
				"persistentVolumeReclaimPolicy": "Retain",
				"claimRef":                      map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "orchestrator", "name": etcdClaim},
				"hostPath":                      map[string]any{"path": nodeLaunchDir, "type": "Directory"},
			},
		},
		{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim",
			"metadata": map[string]any{"name": etcdClaim, "namespace": "orchestrator"},
			"spec": map[string]any{
				"accessModes":      []any{"ReadWriteOnce"},
				"resources":        map[string]any{"requests": map[string]any{"storage": size}},
				"storageClassName": "",
				"volumeName":       "dynsandbox-launch-files",
			},
		},
	}
}

// etcdClaim is the claim that the orchestrator mounts for its launch files.
const etcdClaim = "etcd-pvc"
