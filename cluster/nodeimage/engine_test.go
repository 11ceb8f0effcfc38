package nodeimage

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// fakeEngine speaks those parts of Docker's API that this package uses.
type fakeEngine struct {
	mu       sync.Mutex
	images   map[string]bool   // names that can be inspected
	registry map[string]string // names that can be pulled; the value is an error while pulling, or ""
	list     []map[string]any  // what listing by our label returns
	inUse    string            // a name that can't be removed
	version  string            // /kind/version of every image
	calls    []string          // what was asked to change or leave this machine
}

func (e *fakeEngine) start(t *testing.T) *Builder {
	t.Helper()
	server := httptest.NewServer(e)
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithHTTPClient(server.Client()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return &Builder{Cache: t.TempDir(), Docker: c}
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	fail := func(code int, message string) {
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(map[string]string{"message": message})
	}
	answer := func(v any) { json.NewEncoder(w).Encode(v) }
	w.Header().Set("Content-Type", "application/json")
	switch {
	case path == "/images/json":
		if !strings.Contains(r.URL.Query().Get("filters"), engine.LabelRole+"="+role) {
			fail(http.StatusBadRequest, "listed without our label: "+r.URL.RawQuery)
			return
		}
		answer(e.list)
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/images/"):
		name := strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json")
		if !e.images[name] {
			fail(http.StatusNotFound, "No such image: "+name)
			return
		}
		answer(map[string]string{"Id": "sha256:" + name})
	case strings.HasPrefix(path, "/distribution/"):
		name := strings.TrimSuffix(strings.TrimPrefix(path, "/distribution/"), "/json")
		e.calls = append(e.calls, "ask "+name)
		if _, ok := e.registry[name]; !ok {
			fail(http.StatusInternalServerError, "no such host")
			return
		}
		answer(map[string]any{"Descriptor": map[string]string{"digest": "sha256:" + strings.Repeat("0", 64)}})
	case path == "/images/create":
		name := strings.TrimPrefix(r.URL.Query().Get("fromImage"), "docker.io/") + tagOrDigest(r.URL.Query())
		e.calls = append(e.calls, "pull "+name)
		fmt.Fprintln(w, `{"status":"Downloading","id":"a","progressDetail":{"current":5,"total":10}}`)
		if broken := e.registry[name]; broken != "" {
			answer(map[string]string{"error": broken})
			return
		}
		e.images[name] = true
	case r.Method == http.MethodDelete && strings.HasPrefix(path, "/images/"):
		name := strings.TrimPrefix(path, "/images/")
		if name == e.inUse {
			fail(http.StatusConflict, "a container uses it")
			return
		}
		e.calls = append(e.calls, "remove "+name)
		answer([]map[string]string{{"Untagged": name}})
	case path == "/containers/create":
		w.WriteHeader(http.StatusCreated)
		answer(map[string]string{"Id": "c1"})
	case path == "/containers/c1/archive":
		w.Header().Set("X-Docker-Container-Path-Stat", "e30=") // {}
		files := tar.NewWriter(w)
		files.WriteHeader(&tar.Header{Name: "version", Size: int64(len(e.version)), Mode: 0o644})
		files.Write([]byte(e.version))
		files.Close()
	case r.Method == http.MethodDelete && path == "/containers/c1":
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(http.StatusNotImplemented, "the fake engine doesn't know "+r.Method+" "+path)
	}
}

// tagOrDigest is what the pull's query says beside the name, as it is written in a reference.
func tagOrDigest(q url.Values) string {
	switch tag := q.Get("tag"); {
	case tag == "":
		return ""
	case strings.Contains(tag, ":"):
		return "@" + tag
	default:
		return ":" + tag
	}
}
