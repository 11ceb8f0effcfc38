package images

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
)

// fakeEngine answers like an engine with some images and no registry.
type fakeEngine struct {
	mu    sync.Mutex
	has   map[string]bool
	pulls []string
	gives map[string]bool // what can be pulled
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the API's version
	switch {
	case strings.HasPrefix(path, "images/") && strings.HasSuffix(path, "/json"):
		ref := strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json")
		if !e.has[ref] {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"no such image"}`)
			return
		}
		fmt.Fprintf(w, `{"Id":"sha256:%s"}`, ref)
	case path == "images/create":
		ref := r.URL.Query().Get("fromImage") + ":" + r.URL.Query().Get("tag")
		ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
		e.pulls = append(e.pulls, ref)
		if !e.gives[ref] {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"dial tcp: no such host"}`)
			return
		}
		e.has[ref] = true
		fmt.Fprint(w, `{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"x"}`)
	default:
		w.WriteHeader(http.StatusNotImplemented)
	}
}

func (e *fakeEngine) client(t *testing.T) client.APIClient {
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

func TestResolve(t *testing.T) {
	t.Parallel()
	standIn := rabbitmqRecipe("3").ref()
	for name, tc := range map[string]struct {
		engine  *fakeEngine
		offline bool
		ref     string
		want    Choice
		pulls   int
	}{
		"in the engine": {&fakeEngine{has: map[string]bool{"rabbitmq:3": true, standIn: true}}, false, "rabbitmq:3",
			Choice{Ref: "rabbitmq:3", Source: SourceEngine}, 0},
		"a stand-in made before": {&fakeEngine{has: map[string]bool{standIn: true}, gives: map[string]bool{"rabbitmq:3": true}}, false, "rabbitmq:3",
			Choice{Ref: standIn, Source: SourceCached}, 0},
		"pulled":          {&fakeEngine{has: map[string]bool{}, gives: map[string]bool{"rabbitmq:3": true}}, false, "rabbitmq:3", Choice{Ref: "rabbitmq:3", Source: SourcePulled}, 1},
		"offline, cached": {&fakeEngine{has: map[string]bool{standIn: true}}, true, "rabbitmq:3", Choice{Ref: standIn, Source: SourceCached}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tp := ThirdParty{Docker: tc.engine.client(t), Cache: t.TempDir(), Offline: tc.offline}
			got, err := tp.Resolve(t.Context(), tc.ref)
			if err != nil {
				t.Fatal(err)
			}
			if got.Ref != tc.want.Ref || got.Source != tc.want.Source || got.Wanted != tc.ref || got.ID == "" {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if len(tc.engine.pulls) != tc.pulls {
				t.Errorf("pulls: %v, want %d", tc.engine.pulls, tc.pulls)
			}
		})
	}
}

func TestFailedPullIsRemembered(t *testing.T) {
	t.Parallel()
	engine := fakeEngine{has: map[string]bool{}}
	tp := ThirdParty{Docker: engine.client(t), Cache: t.TempDir()}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if _, err := tp.Resolve(t.Context(), "nobody/nothing:1"); err == nil || !strings.Contains(err.Error(), "no such host") {
				t.Errorf("got error %v", err)
			}
		})
	}
	group.Wait()
	if len(engine.pulls) != 1 {
		t.Errorf("pulled %d times", len(engine.pulls))
	}
}

func TestOfflinePullsNothingAndMakesNothing(t *testing.T) {
	t.Parallel()
	engine := fakeEngine{has: map[string]bool{}}
	tp := ThirdParty{Docker: engine.client(t), Cache: t.TempDir(), Offline: true}
	for _, ref := range []string{"rabbitmq:3-management", "nobody/nothing:1"} {
		if _, err := tp.Resolve(t.Context(), ref); !errors.Is(err, ErrOffline) {
			t.Errorf("%s: got error %v", ref, err)
		}
	}
	if len(engine.pulls) != 0 {
		t.Errorf("pulled %v", engine.pulls)
	}
}
