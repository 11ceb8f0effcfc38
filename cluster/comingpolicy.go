package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// comingPolicy is an admission policy that comes and goes with what there is for it to do, so that it is always created
// through the API. It says on each Pod on which it acted which version of it that was; among these is always the probe.
type comingPolicy struct {
	name       string
	annotation string
	what       string // it gives Pods
}

// policyWait is how long a policy may take to come into force, or out of it: a second as a rule.
const policyWait = time.Minute

// setPolicy applies a version of the policy, and returns when it acts.
func (c *Client) setPolicy(ctx context.Context, p comingPolicy, objects []Object, version string) error {
	ctx, cancel := context.WithTimeout(ctx, policyWait)
	defer cancel()
	report, err := c.Apply(ctx, objects)
	if err != nil {
		return fmt.Errorf("create admission policy: %w", err)
	}
	if len(report.Skipped) > 0 {
		return fmt.Errorf("create admission policy: %s", report.Skipped[0])
	}
	return c.probePolicy(ctx, p, version)
}

// removePolicy removes the policy, if there is one, and returns when it acts no more.
func (c *Client) removePolicy(ctx context.Context, p comingPolicy) error {
	ctx, cancel := context.WithTimeout(ctx, policyWait)
	defer cancel()
	api := c.Clientset.AdmissionregistrationV1()
	bindingErr := api.MutatingAdmissionPolicyBindings().Delete(ctx, p.name, metav1.DeleteOptions{})
	policyErr := api.MutatingAdmissionPolicies().Delete(ctx, p.name, metav1.DeleteOptions{})
	gone := true
	for _, err := range []error{bindingErr, policyErr} {
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove admission policy %s: %w", p.name, err)
		}
		gone = gone && err != nil
	}
	if gone {
		return nil // it was gone before
	}
	return c.probePolicy(ctx, p, "")
}

// probePolicy asks the API server, without making anything, for a Pod until the answer shows that the policy's version acts
// on it.
func (c *Client) probePolicy(ctx context.Context, p comingPolicy, version string) error {
	what := "the " + p.what + " to take effect"
	if version == "" {
		what = "the " + p.what + " to be over"
	}
	return poll(ctx, what, 100*time.Millisecond, func(ctx context.Context) error {
		got, err := c.Clientset.CoreV1().Pods(probe.Namespace).Create(ctx, probe.DeepCopy(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if has := got.Annotations[p.annotation]; has != version {
			return fmt.Errorf("%s: version %q acts, not %q", p.name, has, version)
		}
		return nil
	})
}
