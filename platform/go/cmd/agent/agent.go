package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
)

// Roles of an agent in a job. They are compared without regard to case.
const (
	roleAll             = "all"
	roleDataProvider    = "dataProvider"
	roleComputeProvider = "computeProvider"
)

// jobClient creates and deletes Kubernetes Jobs in the agent's namespace.
type jobClient interface {
	Create(ctx context.Context, job *batchv1.Job, options metav1.CreateOptions) (*batchv1.Job, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

// agent is one party. Make it with newAgent.
type agent struct {
	name      string // as agreements spell it: UVA
	namespace string // the same in lower case
	queue     string
	store     etcd.Store
	sidecar   pb.RabbitMQClient
	jobs      jobClient
	pods      podClient
	images    images
	spans     []corev1.EnvVar // see spanVariables
	timeout   time.Duration   // of a data request, from its arrival to its answer
	exchanges exchanges
	turns     turns
	mu        sync.Mutex
	started   map[string]int // how many Kubernetes Jobs were made of a job
}

func newAgent(name string, store etcd.Store, sidecar pb.RabbitMQClient, jobs jobClient, pods podClient, images images) *agent {
	return &agent{
		name:      name,
		namespace: strings.ToLower(name),
		queue:     name + "-in",
		store:     store,
		sidecar:   sidecar,
		jobs:      jobs,
		pods:      pods,
		images:    images,
		timeout:   limits.DefaultRequest,
		exchanges: exchanges{open: map[string]*exchange{}, broken: map[types.UID]brokenPod{}},
		turns:     turns{taken: map[string]chan struct{}{}},
		started:   map[string]int{},
	}
}

func (a *agent) handlers() service.Handlers {
	return service.Handlers{
		"compositionRequest":        service.On(a.compose),
		"sqlDataRequest":            service.On(a.provide),
		"microserviceCommunication": service.On(a.receive),
	}
}

func (a *agent) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/agent/v1/{type}/"+a.namespace, a.serveData) // which types there are is the launch files' to say
	return mux
}
