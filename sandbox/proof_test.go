package sandbox

import (
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
)

// A container tells of an image only when it ran that one: a Pod may have been made before it was loaded.
func TestWhatProves(t *testing.T) {
	t.Parallel()
	loaded := time.Now()
	image, mounted := proof{id: "sha256:2", before: map[string]Image{"docker.io/a/job:main": {}}}, proof{id: "sha256:2", before: map[string]Image{"docker.io/a/job:main": {}}, since: loaded}
	for name, tc := range map[string]struct {
		p    proof
		e    cluster.Ended
		want bool
	}{
		"the image":                        {image, cluster.Ended{Image: "a/job:main", ImageID: "sha256:2", Started: loaded}, true},
		"the one before":                   {image, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(time.Hour)}, false},
		"another service":                  {image, cluster.Ended{Image: "a/other:main", ImageID: "sha256:2"}, false},
		"mounted, and started afterwards":  {mounted, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(time.Second)}, true},
		"mounted, but started before that": {mounted, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(-time.Second)}, false},
	} {
		if got := tc.p.ran(tc.e); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// One follows the proofs, however often services change, and none when what was there before is back.
func TestProofsOfAService(t *testing.T) {
	t.Parallel()
	good, bad := builtOf(t, "job", "a/job:main"), builtOf(t, "job", "a/job:main")
	r := newReloader(&bringUp{session: &session{}, workspace: &workspace{}})
	r.following = true // as if somebody did
	before := Record{Images: map[string]Image{"docker.io/a/job:main": {Digest: digestOf(good)}}}
	o := &roll{r: r, before: before}
	o.built = append(o.built, bad)
	r.onProbation(o)
	if p := r.proofOf("job"); p == nil || p.before["docker.io/a/job:main"].Digest != digestOf(good) {
		t.Fatalf("the proof: %+v", p)
	}
	other := builtOf(t, "job", "a/job:main")
	r.onProbation(&roll{r: r, before: Record{Images: map[string]Image{"docker.io/a/job:main": {Digest: digestOf(bad)}}}, built: append(o.built[:0:0], other)})
	if p := r.proofOf("job"); p == nil || p.before["docker.io/a/job:main"].Digest != digestOf(good) {
		t.Error("what isn't proven counts as good")
	}
	o.built = append(o.built[:0:0], good)
	r.onProbation(o)
	if r.proofOf("job") != nil {
		t.Error("what was there before has to prove itself")
	}
}
