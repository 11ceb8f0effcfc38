// Package enginetest stands in for the Docker engine in tests: it speaks those parts of the API that the sandbox uses,
// over loopback, to the real client library.
//
// Fill an [Engine] with what there is, call [Engine.Start], and ask afterwards what is left and what was called for.
package enginetest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

// Engine is one that holds what its fields say. They are the test's while no call is under way.
type Engine struct {
	Images   map[string]bool   // names that can be inspected
	Registry map[string]string // names that can be pulled; the value is an error while pulling, or ""
	List     []map[string]any  // what listing images by their role returns
	InUse    string            // a name of an image that can't be removed
	Version  string            // /kind/version of every image

	Containers []container.InspectResponse // see [Container]
	Networks   []network.Inspect
	Info       system.Info
	Exec       Command // what running a command in a container does

	Calls []string // what was asked to change or leave this machine, in order: "remove NAME", "start NAME", ...

	mu   sync.Mutex
	argv map[string][]string // of commands, by the ID of their exec
	code map[string]int
}

// Start returns a client of the engine, which ends with the test.
func (e *Engine) Start(t *testing.T) *client.Client {
	t.Helper()
	server := httptest.NewServer(e)
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithHTTPClient(server.Client()), client.WithVersion(version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

const version = "1.41" // of the API

// ServeHTTP answers one call.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v"+version)
	if strings.HasPrefix(path, "/exec/") && strings.HasSuffix(path, "/start") {
		e.runExec(w, r, strings.Split(path, "/")[2]) // not under the lock: it takes as long as the command
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/_ping":
		w.Header().Set("Api-Version", version)
	case path == "/info":
		answer(w, e.Info)
	case strings.HasPrefix(path, "/images/"), strings.HasPrefix(path, "/distribution/"):
		e.serveImages(w, r, path)
	case strings.HasPrefix(path, "/containers/"):
		e.serveContainers(w, r, strings.TrimPrefix(path, "/containers/"))
	case strings.HasPrefix(path, "/networks"):
		e.serveNetworks(w, r, strings.TrimPrefix(path, "/networks"))
	case strings.HasPrefix(path, "/exec/"):
		answer(w, map[string]any{"ExitCode": e.code[strings.Split(path, "/")[2]]})
	default:
		unknown(w, r)
	}
}

func answer(w http.ResponseWriter, v any) {
	json.NewEncoder(w).Encode(v) // into the client's connection: what goes wrong there the client sees
}

func fail(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	answer(w, map[string]string{"message": message})
}

func unknown(w http.ResponseWriter, r *http.Request) {
	fail(w, http.StatusNotImplemented, "the fake engine doesn't know "+r.Method+" "+r.URL.Path)
}

// labelled reports whether a thing has the labels that a listing asks for.
func labelled(r *http.Request, labels map[string]string) bool {
	var filters map[string]map[string]bool
	if f := r.URL.Query().Get("filters"); f != "" && json.Unmarshal([]byte(f), &filters) != nil {
		return false
	}
	for want := range filters["label"] {
		k, v, _ := strings.Cut(want, "=")
		if labels[k] != v {
			return false
		}
	}
	return true
}
