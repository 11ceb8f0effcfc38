package main

import (
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// maxUserPart is how many characters of a user's name go into the name of a job. With the random part, a steward's
// name and two counters the Jobs made from it stay below the 63 characters that Kubernetes takes.
const maxUserPart = 32

var notAlphanumeric = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// jobName makes a new name for a user's job: the part of the e-mail address before the @ with every run of other
// characters than letters and digits turned into a hyphen, a hyphen, and eight random characters. A name without
// an @ is taken whole.
func jobName(userName string) string {
	local, _, _ := strings.Cut(userName, "@")
	local = notAlphanumeric.ReplaceAllString(local, "-")
	local = strings.Trim(local[:min(len(local), maxUserPart)], "-") // Kubernetes takes no hyphen at the start
	random := uuid.NewString()[:8]
	if local == "" {
		return "job-" + random
	}
	return local + "-" + random
}
