package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// createPolicies creates the admission policies through the API, where the API server can't load them from files.
// They take effect some time later: see probePolicies.
func (c *Client) createPolicies(ctx context.Context) error {
	all, err := policies("")
	if err != nil {
		return err
	}
	var objects []Object
	for _, u := range all {
		objects = append(objects, Object{Unstructured: u})
	}
	if _, err := c.Apply(ctx, objects); err != nil {
		return fmt.Errorf("create admission policies: %w", err)
	}
	// kubeadm has made the DNS before there was a policy.
	_, err = c.Clientset.AppsV1().Deployments("kube-system").Patch(ctx, "coredns", types.StrategicMergePatchType, []byte(dnsPatch),
		metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("set what policy %s would have: %w", PolicyDNS, err)
	}
	return nil
}

// dnsPatch does to the DNS that stands what the policy PolicyDNS does to one that is created.
const dnsPatch = `{"spec": {"replicas": 1, "template": {"spec": {
	"nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
	"containers": [{"name": "coredns", "readinessProbe": {"periodSeconds": 1}, "env": [
		{"name": "KUBERNETES_SERVICE_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
		{"name": "KUBERNETES_SERVICE_PORT", "value": "6443"}]}]}}}}`

// probePolicies asks the API server, without making anything, for a Pod such as an agent's Job makes, until the
// answer shows that the policies act on it.
func (c *Client) probePolicies(ctx context.Context) error {
	progress.Report(ctx, progress.Update{What: "probing the admission policies"})
	return poll(ctx, "the admission policies to take effect", 100*time.Millisecond, func(ctx context.Context) error {
		got, err := c.Clientset.CoreV1().Pods(probe.Namespace).Create(ctx, probe.DeepCopy(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		return checkProbe(got)
	})
}

// probeImage is the image of the probe. Policies that look at images name it too.
const probeImage = "dynsandbox/probe:none"

// probe asks for everything that the policies must change in Pods.
var probe = &corev1.Pod{
	ObjectMeta: metav1.ObjectMeta{
		Name: "dynsandbox-probe", Namespace: metav1.NamespaceDefault,
		Labels: map[string]string{"app": metav1.NamespaceDefault, "batch.kubernetes.io/job-name": "dynsandbox-probe"},
	},
	Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init", Image: probeImage, ImagePullPolicy: corev1.PullAlways}},
		Containers:     []corev1.Container{{Name: "main", Image: probeImage, ImagePullPolicy: corev1.PullAlways}},
		Volumes: []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: probeImage, PullPolicy: corev1.PullAlways}}}},
	},
}

// checkProbe returns what a policy left undone on the probe. The one for ephemeral containers would take a Pod that
// exists; it comes into force in the same way.
func checkProbe(p *corev1.Pod) error {
	var errs []error
	for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
		if c.ImagePullPolicy != corev1.PullIfNotPresent {
			errs = append(errs, fmt.Errorf("%s: container %s still has pull policy %s", PolicyPods, c.Name, c.ImagePullPolicy))
		}
	}
	for _, v := range p.Spec.Volumes {
		if v.Image != nil && v.Image.PullPolicy != corev1.PullIfNotPresent {
			errs = append(errs, fmt.Errorf("%s: volume %s still has pull policy %s", PolicyPods, v.Name, v.Image.PullPolicy))
		}
	}
	if _, ok := p.Labels["app"]; ok {
		errs = append(errs, fmt.Errorf("%s: the Pod of a Job still has the label app", PolicyPods))
	}
	return errors.Join(errs...)
}
