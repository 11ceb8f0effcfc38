package images

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
)

// fakeEngine answers like an engine with some images and no registry. Its BuildKit reads no context, and makes of every
// build an image of one layer or of what a test says, and of every container a file system with a wheel.
type fakeEngine struct {
	mu         sync.Mutex
	has        map[string]bool
	pulls      []string
	gives      map[string]bool // what can be pulled
	built      []*builtImage   // those that are still there
	builds     []url.Values    // as they were asked for
	onBuild    func()
	builtFor   string                       // the architecture of what is built; "": this machine's
	makes      func(q url.Values) []string  // the layers of what is built; nil: one that is no archive
	containers map[string]map[string]string // labels, by ID
}

// builtImage is an image with a configuration.
type builtImage struct {
	id, tag string
	layers  []string
	labels  map[string]string
	arch    string // "": this machine's
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the API's version
	q := r.URL.Query()
	switch {
	case r.URL.Path == "/session":
		holdSession(w)
	case path == "build":
		e.build(w, q)
	case path == "images/json":
		list := []map[string]any{}
		for _, b := range e.built {
			if matches(b.labels, q) {
				list = append(list, map[string]any{"Id": b.id})
			}
		}
		answer(w, list)
	case path == "images/get":
		b := e.find(q.Get("names"))
		tw := tar.NewWriter(w)
		for _, layer := range b.layers {
			tw.WriteHeader(&tar.Header{Name: "layer.tar", Size: int64(len(layer))}) //nolint:errcheck // the test sees what is missing
			io.WriteString(tw, layer)                                               //nolint:errcheck // see above
		}
		tw.Close() //nolint:errcheck // see above
	case path == "images/create":
		e.pull(w, q)
	case strings.HasPrefix(path, "images/"):
		e.image(w, r.Method, strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json"))
	case strings.HasPrefix(path, "containers/"):
		e.container(w, r, strings.TrimPrefix(path, "containers/"))
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func (e *fakeEngine) build(w io.Writer, q url.Values) {
	if e.onBuild != nil {
		e.onBuild()
	}
	e.builds = append(e.builds, q)
	b := &builtImage{tag: q.Get("t"), layers: []string{"layer of build " + fmt.Sprint(len(e.builds))}, arch: e.builtFor}
	if e.makes != nil {
		b.layers = e.makes(q)
	}
	json.Unmarshal([]byte(q.Get("labels")), &b.labels) //nolint:errcheck // the test sees what is missing
	b.id = digestOf(strings.Join(b.layers, ""))
	e.built = append(e.built, b)
	fmt.Fprintf(w, `{"id":"moby.image.id","aux":{"ID":%q}}`, b.id)
}

func (e *fakeEngine) find(ref string) *builtImage {
	for _, b := range slices.Backward(e.built) {
		if b.id == ref || b.tag == ref {
			return b
		}
	}
	return nil
}

// image answers for one image: what it is, or that it is gone.
func (e *fakeEngine) image(w http.ResponseWriter, method, ref string) {
	b := e.find(ref)
	switch {
	case b == nil && !e.has[ref]:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"no such image"}`)
	case b == nil:
		fmt.Fprintf(w, `{"Id":"sha256:%s"}`, ref)
	case method == http.MethodDelete:
		e.built = slices.DeleteFunc(e.built, func(o *builtImage) bool { return o == b })
		fmt.Fprint(w, `[]`)
	default:
		layers := make([]string, len(b.layers))
		for i, layer := range b.layers {
			layers[i] = digestOf(layer)
		}
		answer(w, map[string]any{
			"Id": b.id, "Os": "linux", "Architecture": cmp.Or(b.arch, runtime.GOARCH), "Config": map[string]any{"Labels": b.labels, "Cmd": []string{"python"}},
			"RootFS": map[string]any{"Type": "layers", "Layers": layers},
		})
	}
}

func (e *fakeEngine) pull(w http.ResponseWriter, q url.Values) {
	ref := strings.TrimPrefix(strings.TrimPrefix(q.Get("fromImage")+":"+q.Get("tag"), "docker.io/"), "library/")
	e.pulls = append(e.pulls, ref)
	if !e.gives[ref] {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message":"dial tcp: no such host"}`)
		return
	}
	e.has[ref] = true
	fmt.Fprint(w, `{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"x"}`)
}

func (e *fakeEngine) container(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case path == "json":
		list := []map[string]any{}
		for _, id := range slices.Sorted(maps.Keys(e.containers)) {
			if matches(e.containers[id], r.URL.Query()) {
				list = append(list, map[string]any{"Id": id})
			}
		}
		answer(w, list)
	case path == "create":
		var config struct{ Labels map[string]string }
		json.NewDecoder(r.Body).Decode(&config) //nolint:errcheck // the test sees what is missing
		if e.containers == nil {
			e.containers = map[string]map[string]string{}
		}
		e.containers["new"] = config.Labels
		fmt.Fprint(w, `{"Id":"new"}`)
	case strings.HasSuffix(path, "/archive"):
		w.Header().Set("X-Docker-Container-Path-Stat", "e30=") // {}
		tw := tar.NewWriter(w)
		wheel := fmt.Sprint("of build ", len(e.builds))
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "out/lib-1-py3-none-any.whl", Size: int64(len(wheel))}) //nolint:errcheck // the test sees what is missing
		io.WriteString(tw, wheel)                                                                                       //nolint:errcheck // see above
		tw.Close()                                                                                                      //nolint:errcheck // see above
	case r.Method == http.MethodDelete:
		delete(e.containers, path)
		w.WriteHeader(http.StatusNoContent)
	}
}

// holdSession takes a build's session, and says nothing on it until the client leaves.
func holdSession(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n") //nolint:errcheck // the client sees it
	go func() {
		io.Copy(io.Discard, conn) //nolint:errcheck // until it ends, however it ends
		conn.Close()
	}()
}

// matches reports whether labels are those that a listing asks for.
func matches(labels map[string]string, q url.Values) bool {
	var filters struct{ Label map[string]bool }
	json.Unmarshal([]byte(q.Get("filters")), &filters) //nolint:errcheck // then nothing is asked for
	for wanted := range filters.Label {
		if key, value, _ := strings.Cut(wanted, "="); labels[key] != value {
			return false
		}
	}
	return true
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

func answer(w io.Writer, v any) {
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client sees it
}

func (e *fakeEngine) client(t *testing.T) client.APIClient {
	t.Helper()
	return engineClient(t, e)
}

func engineClient(t *testing.T, e http.Handler) client.APIClient {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
