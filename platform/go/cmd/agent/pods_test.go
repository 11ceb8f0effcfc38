package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// podOf is a Pod of a Job, with one container in a state.
func podOf(job, container string, state corev1.ContainerState) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: job + "-x", UID: types.UID(job + "-x"),
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: job, UID: types.UID(job), Controller: new(true)}},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			{Name: container, State: state},
		}},
	}
}

func ended(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// watching runs the agent's watch of Pods for the duration of a test.
func (p *party) watching(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() { over <- p.watchPods(ctx) }()
	t.Cleanup(func() {
		cancel()
		p.cluster.changes.Stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}

func TestBreakOf(t *testing.T) {
	t.Parallel()
	restarted := podOf("j", "sql-query", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	restarted.Status.ContainerStatuses[1].LastTerminationState = ended(137, "OOMKilled", "")
	deleted := podOf("j", "sql-query", ended(143, "Error", ""))
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	foreign := podOf("j", "sql-query", ended(1, "Error", ""))
	foreign.OwnerReferences = nil
	tests := []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"runs", podOf("j", "sql-query", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}), ""},
		{"is about to run", podOf("j", "sql-query", waiting("ContainerCreating", "")), ""},
		{"ended well", podOf("j", "sql-query", ended(0, "Completed", "bye")), ""},
		{
			"ended badly", podOf("j", "sql-query", ended(1, "Error", "Traceback\nValueError: no\n")),
			"sql-query: its container ended with exit code 1 (Error); its last words:\nTraceback\nValueError: no",
		},
		{"was killed and started again", restarted, "sql-query: its container ended with exit code 137 (OOMKilled)"},
		{
			"has no image", podOf("j", "sql-graph", waiting("ErrImageNeverPull", `image "sql-graph" is not present`)),
			`sql-graph: its container can't start: ErrImageNeverPull: image "sql-graph" is not present`,
		},
		{"lacks its secret", podOf("j", "sidecar", waiting("CreateContainerConfigError", `secret "rabbit" not found`)),
			`sidecar: its container can't start: CreateContainerConfigError: secret "rabbit" not found`},
		{"is deleted", deleted, ""},
		{"is nobody's", foreign, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, broke := breakOf(tt.pod)
			if got.problem != tt.want || broke != (tt.want != "") || broke && got.job != "j" {
				t.Errorf("break = %+v, %v, want %q of job j", got, broke, tt.want)
			}
		})
	}
}

func TestChainThatBreaksIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first bool // the Pod breaks before the agent knows its Job
	}{{"while it works", false}, {"before its job is known", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, "UVA", roleAll)
				p.watching(t)
				broken := podOf("ann-12345678uva1", "sql-query", ended(1, "Error", "boom"))
				if tt.first {
					p.cluster.changes.Modify(broken)
					synctest.Wait()
				}
				begun := time.Now()
				replies := p.post(validBody)
				synctest.Wait()
				if !tt.first {
					p.cluster.changes.Modify(podOf("another", "sql-query", ended(1, "Error", "not this one")))
					p.cluster.changes.Modify(broken)
				}
				want := reply{500, "sql-query: its container ended with exit code 1 (Error); its last words:\nboom\n"}
				if got := <-replies; got != want || time.Since(begun) != 0 {
					t.Errorf("answer after %v = %+v, want %+v at once", time.Since(begun), got, want)
				}
				synctest.Wait()
				if jobs := p.cluster.names(); len(jobs) != 0 {
					t.Errorf("jobs left = %v", jobs)
				}
				for range len(p.sidecar.Calls) {
					<-p.sidecar.Calls
				}
				replies = p.post(validBody)
				message := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
				if message.GetDestinationQueue() != "ann-12345678uva2" {
					t.Errorf("the next request went to %s, want a new queue", message.GetDestinationQueue())
				}
				p.arrives(t, message.GetCorrelationId(), "UVA-in", "42", nil)
				if got := <-replies; got != (reply{200, "42"}) {
					t.Errorf("next answer = %+v", got)
				}
			})
		})
	}
}

func TestPodThatBreaksAfterTheAnswerIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		p.watching(t)
		replies := p.post(validBody)
		id := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetCorrelationId()
		p.arrives(t, id, "UVA-in", "42", nil)
		p.cluster.changes.Modify(podOf("ann-12345678uva1", "sql-query", ended(137, "Error", "")))
		if got := <-replies; got != (reply{200, "42"}) {
			t.Errorf("answer = %+v", got)
		}
		synctest.Wait()
		if jobs := p.cluster.names(); len(jobs) != 1 {
			t.Errorf("jobs = %v, want the one that ended left alone", jobs)
		}
	})
}

func TestProvidersBrokenChainReachesTheThirdParty(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleDataProvider)
		p.watching(t)
		if err := p.handlers()["sqlDataRequest"](t.Context(), asked()); err != nil {
			t.Fatal(err)
		}
		sent[*pb.MicroserviceCommunication](p) // to the chain
		p.cluster.changes.Modify(podOf("ann-12345678uva1", "sql-query", waiting("ErrImagePull", "not found")))
		told := sent[*pb.MicroserviceCommunication](p)
		if text := told.GetMetadata()["error"]; text != "UVA: sql-query: its container can't start: ErrImagePull: not found" {
			t.Errorf("error = %q", text)
		}
		if m := told.GetRequestMetadata(); m.GetDestinationQueue() != "SURF-in" || m.GetReturnAddress() != "UVA-in" || m.GetCorrelationId() != "c" {
			t.Errorf("request metadata = %v, want it to go to the third party", m)
		}
		synctest.Wait()
		if jobs := p.cluster.names(); len(jobs) != 0 {
			t.Errorf("jobs left = %v", jobs)
		}
	})
}

func TestWatchOfPodsBeginsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		p.watching(t)
		replies := p.post(validBody)
		synctest.Wait()
		gone := &metav1.Status{Status: metav1.StatusFailure, Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old"}
		p.cluster.changes.Action(watch.Error, runtime.Object(gone))
		synctest.Wait()
		// What broke while nothing was watched is found in the list.
		p.cluster.mu.Lock()
		p.cluster.pods = []corev1.Pod{*podOf("ann-12345678uva1", "sql-query", ended(2, "Error", ""))}
		p.cluster.changes = watch.NewRaceFreeFake()
		p.cluster.mu.Unlock()
		if got := <-replies; got.status != 500 || !strings.Contains(got.body, "exit code 2") {
			t.Errorf("answer = %+v", got)
		}
	})
}

func TestJobOfADeletedPodIsReplaced(t *testing.T) {
	t.Parallel()
	for _, forced := range []bool{false, true} {
		t.Run(fmt.Sprint("forced ", forced), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { deletedPod(t, forced) })
		})
	}
}

func deletedPod(t *testing.T, forced bool) {
	t.Helper()
	p := newParty(t, "UVA", roleAll)
	p.watching(t)
	replies := p.post(validBody)
	first := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
	synctest.Wait()
	deleted := podOf("ann-12345678uva1", "sql-query", ended(143, "Error", ""))
	if !forced {
		deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		for range 3 { // as its containers end
			p.cluster.changes.Modify(deleted)
		}
	}
	p.cluster.changes.Delete(deleted)
	synctest.Wait()
	if jobs := p.cluster.names(); !slices.Equal(jobs, []string{"ann-12345678uva2"}) {
		t.Errorf("jobs = %v, want another in place of the first", jobs)
	}
	p.arrives(t, first.GetCorrelationId(), "UVA-in", "42", nil)
	if got := <-replies; got != (reply{200, "42"}) {
		t.Errorf("answer = %+v", got)
	}
	synctest.Wait()
	for range len(p.sidecar.Calls) {
		<-p.sidecar.Calls
	}
	// Both Jobs consumed the queue, and one of them may have found nothing in it.
	replies = p.post(validBody)
	next := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
	if next.GetDestinationQueue() != "ann-12345678uva2" {
		t.Errorf("the next request went to %s, want a new queue", next.GetDestinationQueue())
	}
	p.arrives(t, next.GetCorrelationId(), "UVA-in", "42", nil)
	<-replies
	synctest.Wait()
}
