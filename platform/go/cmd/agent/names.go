package main

import (
	"strconv"
	"strings"
)

// localJobName names an agent's part of a job, and the queue of its Pods: job name, steward in lower case, and a
// number that is 1 unless the queue had to be renewed.
func localJobName(job, steward string, n int) string {
	return localJobPrefix(job, steward) + strconv.Itoa(n)
}

func localJobPrefix(job, steward string) string { return job + steward }

// kubernetesJobName names the n-th Kubernetes Job of an agent's part of a job. Kubernetes takes no upper-case
// letters, which a user's name may bring into the job's.
func kubernetesJobName(job, steward string, n int) string {
	return strings.ToLower(localJobPrefix(job, steward)) + strconv.Itoa(n)
}
