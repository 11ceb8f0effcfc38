package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

const validBody = `{"type":"sqlDataRequest","query":"SELECT 1","algorithm":"average","options":{"aggregate":true},
	"user":{"id":"7","user_name":"ann@x"},"requestMetadata":{"job_id":"ann-12345678"}}`

// cluster keeps the Jobs that agents create. Their UID is their name.
type cluster struct {
	creating func() // if set, called before each creation

	mu   sync.Mutex
	jobs []*batchv1.Job
	err  error

	pods    []corev1.Pod // that are there when they are listed
	changes *watch.RaceFreeFakeWatcher
}

func (c *cluster) List(_ context.Context, options metav1.ListOptions) (*corev1.PodList, error) {
	if options.LabelSelector != "batch.kubernetes.io/job-name" {
		return nil, fmt.Errorf("the selector %q finds other pods than the agent's jobs'", options.LabelSelector)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &corev1.PodList{Items: c.pods}, nil
}

func (c *cluster) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes, nil
}

func (c *cluster) Create(_ context.Context, job *batchv1.Job, _ metav1.CreateOptions) (*batchv1.Job, error) {
	if c.creating != nil {
		c.creating()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	for _, other := range c.jobs {
		if other.Name == job.Name {
			return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "jobs"}, job.Name)
		}
	}
	c.jobs = append(c.jobs, job)
	created := job.DeepCopy()
	created.UID = types.UID(job.Name)
	return created, nil
}

func (c *cluster) Delete(_ context.Context, name string, options metav1.DeleteOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := options.PropagationPolicy; p == nil || *p != metav1.DeletePropagationBackground {
		return errors.New("the pods would stay")
	}
	c.jobs = slices.DeleteFunc(c.jobs, func(job *batchv1.Job) bool { return job.Name == name })
	return nil
}

func (c *cluster) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, job := range c.jobs {
		names = append(names, job.Name)
	}
	return names
}

// party is an agent between a fake cluster and a fake sidecar.
type party struct {
	*agent
	store   *etcdtest.Memory
	sidecar *sidecartest.Sidecar
	cluster *cluster
}

// newParty is an agent that was told its role in ann's job, unless role is empty.
func newParty(t *testing.T, name, role string) *party {
	t.Helper()
	p := &party{store: configured(t, nil), sidecar: sidecartest.New(), cluster: &cluster{changes: watch.NewRaceFreeFake()}}
	p.agent = newAgent(name, p.store, p.sidecar, p.cluster, p.cluster, imagesFromEnv(func(string) string { return "" }))
	for _, provider := range []string{"UVA", "VU"} {
		if err := etcd.Put(t.Context(), p.store, etcd.OnlineKey(provider), etcd.Agent{Name: provider, RoutingKey: provider + "-in"}); err != nil {
			t.Fatal(err)
		}
	}
	if role != "" {
		p.tell(t, role)
	}
	return p
}

func (p *party) tell(t *testing.T, role string) {
	t.Helper()
	request := &pb.CompositionRequest{
		ArchetypeId: "a", RequestType: "sqlDataRequest", Role: role, User: &pb.User{Id: "7", UserName: "ann@x"},
		DestinationQueue: p.queue, JobName: "ann-12345678",
	}
	if role == roleComputeProvider {
		request.DataProviders = []string{"UVA", "VU"}
	}
	if err := p.handlers()["compositionRequest"](t.Context(), sidecartest.Envelope("compositionRequest", request, nil)); err != nil {
		t.Fatal(err)
	}
}

// sent waits for the agent's next message of one kind, and skips others.
func sent[M any](p *party) M {
	for {
		if m, ok := (<-p.sidecar.Calls).Message.(M); ok {
			return m
		}
	}
}

// arrives hands the agent a message of a chain or another agent.
func (p *party) arrives(t *testing.T, correlation, returnAddress, result string, metadata map[string]string) {
	t.Helper()
	message := &pb.MicroserviceCommunication{
		Type: "microserviceCommunication", Result: []byte(result), Metadata: metadata,
		RequestMetadata: &pb.RequestMetadata{CorrelationId: correlation, ReturnAddress: returnAddress},
	}
	envelope := sidecartest.Envelope("microserviceCommunication", message, nil)
	if err := p.handlers()["microserviceCommunication"](context.Background(), envelope); err != nil {
		t.Errorf("receive: %v", err)
	}
}

type reply struct {
	status int
	body   string
}

// post sends a data request; the reply comes on the channel.
func (p *party) post(body string) <-chan reply {
	replies := make(chan reply, 1)
	go func() {
		r := httptest.NewRequest(http.MethodPost, "/agent/v1/sqlDataRequest/"+p.namespace, strings.NewReader(body))
		r.Header.Set("Authorization", "bearer 1234")
		w := httptest.NewRecorder()
		p.routes().ServeHTTP(w, r)
		replies <- reply{w.Code, w.Body.String()}
	}()
	return replies
}

func TestCompositionRequestIsStoredAfterItsQueue(t *testing.T) {
	t.Parallel()
	p := newParty(t, "UVA", "")
	p.sidecar.OnCall = func(call sidecartest.Call) error {
		if stored, _ := p.store.List(t.Context(), etcd.JobPrefix("UVA")); len(stored) != 0 {
			t.Errorf("%v stored before the queue was declared", stored)
		}
		return nil
	}
	p.tell(t, roleAll)
	if got := sent[*pb.QueueInfo](p).GetQueueName(); got != "ann-12345678uva1" {
		t.Errorf("queue = %s", got)
	}
	got, _ := p.store.Get(t.Context(), "/agents/jobs/UVA/ann@x/ann-12345678")
	want := `{"archetype_id":"a","request_type":"sqlDataRequest","role":"all","user":{"id":"7","user_name":"ann@x"},` +
		`"destination_queue":"UVA-in","job_name":"ann-12345678","local_job_name":"ann-12345678uva1"}`
	if string(got) != want {
		t.Errorf("stored:\n got %s\nwant %s", got, want)
	}
	if got, _ := p.store.Get(t.Context(), "/agents/jobs/UVA/queueInfo/ann-12345678uva1"); string(got) != "ann-12345678uva1" {
		t.Errorf("queue info = %q", got)
	}
}

func TestExpiredJobIsRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = p.expireQueues(ctx) }()
		synctest.Wait()
		_ = p.store.Delete(ctx, "/agents/jobs/UVA/queueInfo/ann-12345678uva1")
		synctest.Wait()
		cancel()
		if left, _ := p.store.List(t.Context(), etcd.JobPrefix("UVA")); len(left) != 0 {
			t.Errorf("left in the store: %v", left)
		}
		var last sidecartest.Call
		for range len(p.sidecar.Calls) {
			last = <-p.sidecar.Calls
		}
		if last.RPC != "DeleteQueue" || last.Message.(*pb.QueueInfo).GetQueueName() != "ann-12345678uva1" {
			t.Errorf("last call = %+v, want the queue deleted", last)
		}
		synctest.Wait()
	})
}

func TestJobThatIsEndedFailsItsRequestAndStaysEnded(t *testing.T) {
	t.Parallel()
	// A third party whose place another takes has no part in the job any more, too.
	for name, role := range map[string]string{"UVA": roleAll, "SURF": roleComputeProvider} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, name, role)
				ctx, cancel := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer cancel()
				go func() { _ = p.expireQueues(ctx) }()
				replies := p.post(validBody)
				synctest.Wait()
				_ = p.store.Delete(ctx, etcd.QueueInfoKey(name, "ann-12345678"+p.namespace+"1"))
				if got := <-replies; got.status != 500 || !strings.Contains(got.body, "the job was ended") {
					t.Errorf("answer = %+v", got)
				}
				synctest.Wait()
				if left, _ := p.store.List(t.Context(), etcd.JobPrefix(name)); len(left) != 0 || len(p.cluster.names()) != 0 {
					t.Errorf("left in the store: %v, in the cluster: %v", left, p.cluster.names())
				}
				if got := <-p.post(validBody); got.status != 400 {
					t.Errorf("next answer = %+v, want that there is no such job", got)
				}
			})
		})
	}
}

func TestRenewedQueueKeepsWhatTheOrchestratorChanged(t *testing.T) {
	t.Parallel()
	p := newParty(t, "UVA", roleAll)
	request, err := p.composition(t.Context(), "ann@x", "ann-12345678")
	if err != nil {
		t.Fatal(err)
	}
	p.tell(t, roleDataProvider)
	if err := p.renewQueue(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	got, err := p.composition(t.Context(), "ann@x", "ann-12345678")
	if err != nil || got.GetRole() != roleDataProvider || got.GetLocalJobName() != "ann-12345678uva2" {
		t.Errorf("stored = %v, %v, want the changed role and the new queue", got, err)
	}
}

func TestRenewedQueueOfAJobThatWasEnded(t *testing.T) {
	t.Parallel()
	p := newParty(t, "UVA", roleAll)
	request, err := p.composition(t.Context(), "ann@x", "ann-12345678")
	if err != nil {
		t.Fatal(err)
	}
	// Its part is about to be removed.
	_ = p.store.Delete(t.Context(), etcd.QueueInfoKey("UVA", "ann-12345678uva1"))
	if err := p.renewQueue(t.Context(), request); !errors.Is(err, errNoJob) {
		t.Errorf("error = %v, want that there is no such job", err)
	}
	if left, _ := p.store.List(t.Context(), etcd.QueueInfoPrefix("UVA")); len(left) != 0 {
		t.Errorf("leases left: %v, want none", left)
	}
	if err := p.expire(t.Context(), "ann-12345678uva1"); err != nil {
		t.Fatal(err)
	}
	if left, _ := p.store.List(t.Context(), etcd.JobPrefix("UVA")); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

// gapStore does something once, between a read and a change.
type gapStore struct {
	*etcdtest.Memory
	gap func()
}

func (s *gapStore) Swap(ctx context.Context, changes ...etcd.Change) (bool, error) {
	if gap := s.gap; gap != nil {
		s.gap = nil
		gap()
	}
	return s.Memory.Swap(ctx, changes...)
}

func TestQueueThatIsRenewedWhileItsJobChanges(t *testing.T) {
	t.Parallel()
	key := etcd.JobKey("UVA", "ann@x", "ann-12345678")
	for _, test := range []struct {
		name string
		gap  func(p *party)
		err  error
		left []string // keys
	}{
		{"another role", func(p *party) { p.tell(t, roleDataProvider) }, nil, []string{key, etcd.QueueInfoKey("UVA", "ann-12345678uva2")}},
		{"ended", func(p *party) {
			_ = p.store.Delete(t.Context(), etcd.QueueInfoKey("UVA", "ann-12345678uva1"))
			_ = p.expire(t.Context(), "ann-12345678uva1")
		}, errNoJob, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, "UVA", roleAll)
			request, err := p.composition(t.Context(), "ann@x", "ann-12345678")
			if err != nil {
				t.Fatal(err)
			}
			p.agent.store = &gapStore{p.store, func() { test.gap(p) }}
			if err := p.renewQueue(t.Context(), request); !errors.Is(err, test.err) {
				t.Errorf("error = %v, want %v", err, test.err)
			}
			entries, _ := p.store.List(t.Context(), etcd.JobPrefix("UVA"))
			var left []string
			for _, e := range entries {
				left = append(left, e.Key)
				if part := new(pb.CompositionRequest); e.Key == key {
					if err := json.Unmarshal(e.Value, part); err != nil || part.GetRole() != roleDataProvider || part.GetLocalJobName() != "ann-12345678uva2" {
						t.Errorf("stored = %v, %v, want the changed role and the new queue", part, err)
					}
				}
			}
			if !slices.Equal(left, test.left) {
				t.Errorf("left in the store: %v, want %v", left, test.left)
			}
		})
	}
}

func TestForgottenJobIsRemovedAtStart(t *testing.T) {
	t.Parallel()
	p := newParty(t, "UVA", roleAll)
	_ = p.store.Delete(t.Context(), "/agents/jobs/UVA/queueInfo/ann-12345678uva1")
	if err := p.expireForgotten(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := p.store.List(t.Context(), etcd.JobPrefix("UVA")); len(left) != 0 {
		t.Errorf("left in the store: %v", left)
	}
}

func TestDataRequestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, role, body, authorization string
		clusterError                    error
		status                          int
		says                            string
	}{
		{"no authorization", roleAll, validBody, "", nil, 401, "Authorization header is missing"},
		{"not bearer", roleAll, validBody, "basic 1234", nil, 401, "Invalid Authorization header format"},
		{"no token", roleAll, validBody, "bearer", nil, 401, "Invalid Authorization header format"},
		{"not JSON", roleAll, "{", "bearer 1", nil, 400, "Bad request"},
		{"unknown key", roleAll, `{"qurey":"x"}`, "bearer 1", nil, 400, "qurey"},
		{"no metadata", roleAll, `{"type":"sqlDataRequest"}`, "bearer 1", nil, 500, "Job ID not passed"},
		{"role without answers", roleDataProvider, validBody, "BEARER 1", nil, 400, "dataProvider"},
		{"cluster refuses", roleAll, validBody, "bearer 1", errors.New("jobs are forbidden"), 500, "jobs are forbidden"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, "UVA", tt.role)
			p.cluster.err = tt.clusterError
			r := httptest.NewRequest(http.MethodPost, "/agent/v1/sqlDataRequest/uva", strings.NewReader(tt.body))
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := httptest.NewRecorder()
			p.routes().ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("answer = %d %q, want %d with %q", w.Code, w.Body, tt.status, tt.says)
			}
		})
	}
}

func TestUnknownJobIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", "")
		if got := <-p.post(validBody); got.status != 400 || !strings.Contains(got.body, "No job found for this user") {
			t.Errorf("answer = %+v", got)
		}
	})
}

func TestStoreThatIsAwayIsNotAMissingJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", "")
		p.store.Fail(errors.New("connection refused"))
		if got := <-p.post(validBody); got.status != 503 || !strings.Contains(got.body, "connection refused") {
			t.Errorf("answer = %+v, want 503 with the store's error", got)
		}
	})
}

func TestDataRequestWaitsForItsCompositionRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", "")
		replies := p.post(validBody)
		synctest.Wait()
		p.tell(t, roleAll)
		p.arrives(t, sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetCorrelationId(), "", "42", nil)
		if got := <-replies; got.status != 200 {
			t.Errorf("answer = %+v, want 200", got)
		}
	})
}
