package cluster

import "fmt"

// Omission is an object of a chart that isn't applied, and why.
type Omission struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Chart     string `json:"chart"`
	Reason    string `json:"reason"`
}

// String is one line for people.
func (o Omission) String() string {
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %s (chart %s): %s", o.Kind, name, o.Chart, o.Reason)
}

// omittedCharts are left out whole.
var omittedCharts = map[string]string{
	"core": "the sandbox provides the config store and the broker; the rest of the chart is observability that no request needs",
	"test": "not part of the platform",
}

// omittedObjects are left out of any chart.
var omittedObjects = []struct{ kind, namespace, name, reason string }{
	{"PersistentVolumeClaim", "orchestrator", etcdClaim, "the sandbox binds this claim to the workspace's own launch files"},
	{"Job", "orchestrator", "init-etcd-pvc", "it would overwrite the launch files with some from the internet"},
	{"PersistentVolumeClaim", "core", "rabbit-pvc", "only the core chart's broker mounts it"},
}

// omit separates what is applied from what isn't.
func omit(objects []Object) (kept []Object, left []Omission) {
	for _, o := range objects {
		if reason := omissionReason(o); reason != "" {
			left = append(left, Omission{o.GetKind(), o.GetNamespace(), o.GetName(), o.Chart, reason})
		} else {
			kept = append(kept, o)
		}
	}
	return kept, left
}

func omissionReason(o Object) string {
	if reason := omittedCharts[o.Chart]; reason != "" {
		return reason
	}
	for _, m := range omittedObjects {
		if m.kind == o.GetKind() && m.namespace == o.GetNamespace() && m.name == o.GetName() {
			return m.reason
		}
	}
	if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" {
		return "a Helm hook (" + hook + "); there is no release for it to belong to"
	}
	return ""
}
