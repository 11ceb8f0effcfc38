package images

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"
	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// ErrNoBuildKit is returned for an engine that can't run Dockerfiles as workspaces write them.
var ErrNoBuildKit = errors.New("the engine has no BuildKit: an engine of version 18.09 or newer is needed, with BuildKit not switched off; " +
	"its classic builder can't build the Dockerfiles of DYNAMOS services")

// buildJob is one run of the engine's builder.
type buildJob struct {
	what       string            // for progress and errors: "sql-query"
	context    string            // folder
	dockerfile string            // folder with the file Dockerfile; may be the context
	args       map[string]string // build arguments
	labels     map[string]string
	secrets    map[string][]byte
	tag        string
	offline    bool // its steps get no network
}

// buildInEngine runs a build with the engine's BuildKit, and returns the image's ID. When a step fails, the error is a
// *fault.Exec with that step's output.
func buildInEngine(ctx context.Context, docker client.APIClient, job buildJob) (id string, err error) {
	// A key of its own: BuildKit keeps the last context under the key and fetches only files whose size or time differs, and
	// all of ours have one time. Another service's file of the same size would stand in for this one's.
	s, err := session.NewSession(ctx, rand.Text())
	if err != nil {
		return "", fmt.Errorf("open a build session: %w", err)
	}
	contextFS, err := fsutil.NewFS(job.context)
	if err != nil {
		return "", err
	}
	dockerfileFS, err := fsutil.NewFS(job.dockerfile)
	if err != nil {
		return "", err
	}
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": contextFS, "dockerfile": dockerfileFS}))
	network, secrets := "", job.secrets
	if job.offline {
		// pip would try for half a minute before it found that nobody answers.
		network, secrets = "none", map[string][]byte{"pip": []byte("[global]\nno-index = true\n")}
	}
	s.Allow(secretsprovider.FromMap(secrets))
	ended := make(chan error, 1)
	go func() {
		ended <- s.Run(ctx, func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return docker.DialHijack(ctx, "/session", proto, meta)
		})
	}()
	defer func() {
		s.Close() //nolint:errcheck // the build's own result counts
		<-ended
	}()
	args := proxyArgs()
	for k, v := range job.args {
		args[k] = &v
	}
	answer, err := docker.ImageBuild(ctx, nil, build.ImageBuildOptions{
		NetworkMode: network,
		Version:     build.BuilderBuildKit, RemoteContext: "client-session", SessionID: s.ID(),
		Dockerfile: "Dockerfile", Tags: []string{job.tag}, BuildArgs: args, Labels: job.labels,
	})
	if err != nil {
		// An engine without BuildKit complains of the parameters that only BuildKit knows.
		if ping, pingErr := docker.Ping(ctx); pingErr == nil && ping.BuilderVersion == build.BuilderV1 {
			err = fmt.Errorf("%w (%w)", ErrNoBuildKit, err)
		}
		return "", fmt.Errorf("ask the engine to build: %w", err)
	}
	defer answer.Body.Close()
	steps := steps{names: map[string]string{}, logs: map[string]*strings.Builder{}, done: map[string]bool{}}
	err = readEngineStream(answer.Body, func(m engineMessage) {
		switch m.ID {
		case "moby.buildkit.trace":
			steps.read(ctx, job.what, m.Aux)
		case "moby.image.id":
			var aux struct{ ID string }
			if json.Unmarshal(m.Aux, &aux) == nil {
				id = aux.ID
			}
		}
	})
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", &fault.Exec{Argv: []string{"build", job.what}, Tail: steps.failure(), Err: err}
	case id == "":
		return "", errors.New("the engine reported no image")
	}
	return id, nil
}

// proxyArgs hands the machine's proxy on, in the arguments that leave no trace in an image.
func proxyArgs() map[string]*string {
	args := map[string]*string{}
	for _, key := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"} {
		if v := os.Getenv(key); v != "" && !strings.Contains(v, "//127.") && !strings.Contains(v, "//localhost") {
			args[key] = &v
		}
	}
	return args
}

// mountFlag matches what [pipMounts] adds.
var mountFlag = regexp.MustCompile(`--mount=type=(?:secret,id=(?:pip|ca)|cache,target=/root/\.cache/pip)\S* `)

// steps follows a build's steps.
type steps struct {
	names  map[string]string           // by digest
	logs   map[string]*strings.Builder // by digest
	failed string                      // digest of the step that failed
	done   map[string]bool             // digests of those that ended
}

// read takes in one report of BuildKit.
func (s *steps) read(ctx context.Context, what string, aux json.RawMessage) {
	var raw []byte
	var status controlapi.StatusResponse
	if json.Unmarshal(aux, &raw) != nil || proto.Unmarshal(raw, &status) != nil {
		return // a newer engine's report; the build's result doesn't depend on it
	}
	for _, v := range status.Vertexes {
		if _, known := s.names[v.Digest]; !known {
			s.names[v.Digest] = mountFlag.ReplaceAllString(v.Name, "") // ours, which nobody wrote
		}
		if v.Error != "" && s.failed == "" {
			s.failed = v.Digest
		}
		if v.Completed != nil {
			s.done[v.Digest] = true
		} else if v.Started != nil {
			progress.Report(ctx, progress.Update{What: "build " + what + ": " + s.names[v.Digest], Done: int64(len(s.done)), Total: int64(len(s.names)), Unit: "steps"})
		}
	}
	for _, l := range status.Logs {
		if s.logs[l.Vertex] == nil {
			s.logs[l.Vertex] = &strings.Builder{}
		}
		s.logs[l.Vertex].Write(l.Msg)
	}
}

// failure returns the step that failed and what it printed.
func (s *steps) failure() string {
	name := s.names[s.failed]
	if log := s.logs[s.failed]; log != nil {
		name += "\n" + log.String()
	}
	return strings.TrimSpace(name)
}
