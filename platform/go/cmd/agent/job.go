package main

import (
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

const (
	sidecarPort      = 50051
	firstServicePort = 50053
	tracingHost      = "collector.linkerd-jaeger:55678"

	jobDeadlineSeconds = 600 // for all its Pods together
	jobKeptSeconds     = 30  // after its end
	jobRetries         = 6
)

// images says where the images of a Job's containers come from.
type images struct {
	services string // repository of the services
	sidecars string // repository of the sidecar
	sidecar  string // its name
	tag      func(image string) string
}

// imagesFromEnv takes repositories, the sidecar's name, and the tag of single images (SQL-QUERY_TAG) from the
// agent's environment.
func imagesFromEnv(getenv func(string) string) images {
	or := func(variable, otherwise string) string {
		if value := getenv(variable); value != "" {
			return value
		}
		return otherwise
	}
	return images{
		services: or("MICROSERVICE_REPOSITORY_NAME", "dynamos1"),
		sidecars: or("SIDECAR_REPOSITORY_NAME", "dynamos1"),
		sidecar:  or("SIDECAR_NAME", "sidecar"),
		tag:      func(image string) string { return or(strings.ToUpper(image)+"_TAG", "main") },
	}
}

// manifest is the Kubernetes Job that runs chain for a composition request. Its containers are the services in the order of
// the chain, and the sidecar after the first of them. Containers are started one after the other, each in a tenth of a
// second or two: the first service, which may take long to be ready, gets the head start, and then finds the sidecar there.
func (a *agent) manifest(name string, request *pb.CompositionRequest, chain []string) *batchv1.Job {
	var containers []corev1.Container
	for i, service := range chain {
		container := corev1.Container{
			Name:            service,
			Image:           a.images.services + "/" + service + ":" + a.images.tag(service),
			ImagePullPolicy: corev1.PullAlways,
			// What a container that failed wrote last is what its request is answered with.
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			Env: []corev1.EnvVar{
				{Name: "DATA_STEWARD_NAME", Value: strings.ToUpper(a.name)},
				{Name: "DESIGNATED_GRPC_PORT", Value: strconv.Itoa(firstServicePort + i)},
				{Name: "FIRST", Value: oneOrZero(i == 0)},
				{Name: "LAST", Value: oneOrZero(i == len(chain)-1)},
				{Name: "JOB_NAME", Value: request.GetLocalJobName()},
				{Name: "SIDECAR_PORT", Value: strconv.Itoa(sidecarPort)},
				{Name: "OC_AGENT_HOST", Value: tracingHost},
				{Name: "NR_OF_DATA_PROVIDERS", Value: strconv.Itoa(len(request.GetDataProviders()))},
				{Name: "AGENT_ROLE", Value: request.GetRole()},
			},
		}
		container.Env = append(container.Env, a.tracing(name, request)...)
		if a.timeout != limits.DefaultRequest {
			container.Env = append(container.Env, corev1.EnvVar{Name: limits.RequestVariable, Value: strconv.Itoa(int(a.timeout.Seconds()))})
		}
		if containers = append(containers, container); i == 0 {
			sidecar := a.sidecarContainer()
			sidecar.Env = append(sidecar.Env, a.tracing(name, request)...)
			containers = append(containers, sidecar)
		}
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: a.namespace,
			Labels:    map[string]string{"app": a.namespace, "jobName": request.GetLocalJobName()},
		},
		Spec: batchv1.JobSpec{
			ActiveDeadlineSeconds:   new(int64(jobDeadlineSeconds)),
			TTLSecondsAfterFinished: new(int32(jobKeptSeconds)),
			BackoffLimit:            new(int32(jobRetries)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": a.namespace}},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyOnFailure,
					Containers:    containers,
					// Nothing in the Pod speaks to Kubernetes. A volume, and the token would be one, costs the kubelet's
					// next look at what is mounted: 0.3 s, most of a Pod's start.
					AutomountServiceAccountToken: new(false),
				},
			},
		},
	}
}

// spanVariables are the environment variables, as os.Environ lists them, that say where spans go. Containers of Jobs get them
// too.
func spanVariables(environment []string) []corev1.EnvVar {
	var found []corev1.EnvVar
	for _, entry := range slices.Sorted(slices.Values(environment)) {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_EXPORTER_OTLP_") && value != "" {
			found = append(found, corev1.EnvVar{Name: name, Value: value})
		}
	}
	return found
}

// tracing tells a container of a Job where its spans go, and what all of them have to say. Nothing if they go nowhere.
func (a *agent) tracing(job string, request *pb.CompositionRequest) []corev1.EnvVar {
	if len(a.spans) == 0 {
		return nil
	}
	return append(slices.Clone(a.spans), corev1.EnvVar{
		Name:  "OTEL_RESOURCE_ATTRIBUTES",
		Value: "service.namespace=" + a.namespace + ",k8s.job.name=" + job + ",dynamos.job=" + request.GetJobName(),
	})
}

func (a *agent) sidecarContainer() corev1.Container {
	return corev1.Container{
		Name:            a.images.sidecar,
		Image:           a.images.sidecars + "/" + a.images.sidecar + ":" + a.images.tag(a.images.sidecar),
		ImagePullPolicy: corev1.PullAlways,
		// As of the services.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Env: []corev1.EnvVar{
			{Name: "DESIGNATED_GRPC_PORT", Value: strconv.Itoa(sidecarPort)},
			{Name: "TEMPORARY_JOB", Value: "true"},
			{Name: "AMQ_USER", Value: "normal_user"},
			{Name: "OC_AGENT_HOST", Value: tracingHost},
			{Name: "AMQ_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "rabbit"}, Key: "password",
			}}},
		},
	}
}

func oneOrZero(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
