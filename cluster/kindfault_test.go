package cluster

import "testing"

func TestCause(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ output, want string }{
		"kubeadm with a stack trace": {
			"I1124 waiting\nerror: error execution phase wait-control-plane: the kubelet is not healthy\nmore of it\nk8s.io/kubernetes/cmd/kubeadm/app/cmd.x\n\tx.go:1\nruntime.main",
			"error: error execution phase wait-control-plane: the kubelet is not healthy\nmore of it",
		},
		"the last error counts": {"error one\nthen\nERROR: two", "ERROR: two"},
		"no error line":         {"a\nb", "a\nb"},
	} {
		if got := cause([]byte(tc.output)); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
