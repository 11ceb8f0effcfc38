package images

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

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
