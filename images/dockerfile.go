package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Where a build's secrets are mounted.
const (
	secretDir = "/run/secrets/"
	pipConfAt = "/etc/pip.conf"
)

var (
	runWord  = regexp.MustCompile(`(?i)^(\s*RUN\s+)`)
	fromWord = regexp.MustCompile(`(?i)^(\s*FROM\s+(?:--platform=\S+\s+)?)(\S+)`)
)

// rewriteDockerfile returns the copy of a workspace's Dockerfile that is built: base images replaced by what base
// answers for them, mounts added to every RUN. Line numbers stay, so that the builder's messages fit the original.
//
// base is asked for each image once; mounts are flags such as "--mount=type=cache,target=/x".
func rewriteDockerfile(ctx context.Context, dockerfile []byte, base func(ctx context.Context, ref string) (string, error), mounts string) ([]byte, error) {
	result, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(dockerfile), "\n")
	args := map[string]string{}
	stages := map[string]bool{"scratch": true}
	count := 0
	// The first line may name an image of the Dockerfile's own language, which would be pulled before anything else.
	if ref, _, loc, ok := parser.DetectSyntax(dockerfile); ok && len(loc) > 0 {
		if _, err := base(ctx, ref); err != nil {
			lines[loc[0].Start.Line-1] = "# the engine's own Dockerfile syntax: " + ref + " can't be had\n"
		}
	}
	for _, node := range result.AST.Children {
		line := &lines[node.StartLine-1]
		switch strings.ToUpper(node.Value) {
		case "ARG":
			if count > 0 {
				break // only those before the first stage have a meaning for FROM
			}
			for n := node.Next; n != nil; n = n.Next {
				key, value, _ := strings.Cut(n.Value, "=")
				args[key] = strings.Trim(value, `"'`)
			}
		case "FROM":
			m := fromWord.FindStringSubmatch(*line)
			if m == nil {
				return nil, fmt.Errorf("line %d: FROM without an image on its line", node.StartLine)
			}
			ref := os.Expand(m[2], func(key string) string {
				key, fallback, _ := strings.Cut(key, ":-")
				if v := args[key]; v != "" {
					return v
				}
				return fallback
			})
			if !stages[strings.ToLower(ref)] {
				replacement, err := base(ctx, ref)
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", node.StartLine, err)
				}
				*line = m[1] + replacement + (*line)[len(m[0]):]
			}
			stages[strconv.Itoa(count)] = true // stages can be named by number
			count++
			if n := node.Next; n != nil && n.Next != nil && n.Next.Next != nil {
				stages[strings.ToLower(n.Next.Next.Value)] = true // FROM image AS name
			}
		case "RUN":
			if mounts != "" {
				*line = runWord.ReplaceAllString(*line, "${1}"+strings.ReplaceAll(mounts, "$", "$$")+" ")
			}
		}
	}
	return []byte(strings.Join(lines, "")), nil
}

// pipMounts are the mounts through which a RUN gets this machine's pip settings without a trace in the image (but for
// empty folders), and pip's cache from one build to the next.
func pipMounts(s pipSettings) string {
	mounts := []string{"--mount=type=cache,target=/root/.cache/pip"}
	if s.config != "" {
		mounts = append(mounts, "--mount=type=secret,id=pip,target="+pipConfAt)
	}
	if s.ca != nil {
		mounts = append(mounts, "--mount=type=secret,id=ca")
	}
	return strings.Join(mounts, " ")
}
