package nodeimage

import (
	"slices"
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

func imagesInEngine(current string) []map[string]any {
	return []map[string]any{
		{"Id": "sha256:aaaaaaaaaaaaaaaa", "RepoTags": []string{Repository + ":v1.36.0-old"}, "Size": 7, "Created": 100},
		{"Id": "sha256:bbbbbbbbbbbbbbbb", "RepoTags": []string{"kindest/node:v1.37.0", current}, "Size": 8, "Created": 300},
		{"Id": "sha256:cccccccccccccccc", "RepoTags": []string{"<none>:<none>"}, "Size": 9, "Created": 200},
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b := builder(t, &enginetest.Engine{List: imagesInEngine(new(Builder).Ref())})
	got, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for _, i := range got {
		refs = append(refs, i.Ref)
		if i.Current != (i.Ref == b.Ref()) {
			t.Errorf("%s: current %v", i.Ref, i.Current)
		}
	}
	if want := []string{b.Ref(), "sha256:cccccccccccccccc", Repository + ":v1.36.0-old"}; !slices.Equal(refs, want) {
		t.Errorf("got %q, want the newest first: %q", refs, want)
	}
	if got[0].Size != 8 || got[0].Created.Unix() != 300 {
		t.Errorf("got %+v", got[0])
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	current, old := new(Builder).Ref(), Repository+":v1.36.0-old"
	for name, tc := range map[string]struct {
		refs    []string
		inUse   string
		removed []string
		err     string
	}{
		"all but the current": {removed: []string{current, "sha256:cccccccccccccccc", old}[1:]},
		"one is in use":       {inUse: "sha256:cccccccccccccccc", removed: []string{old}, err: "a container uses it"},
		"by name":             {refs: []string{current}, removed: []string{current}},
		"by short ID":         {refs: []string{"aaaaaaaaaaaa"}, removed: []string{old}},
		"not ours":            {refs: []string{old, "kindest/node:v1.30.0"}, err: "no node image kindest/node:v1.30.0 was built here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &enginetest.Engine{List: imagesInEngine(current), InUse: tc.inUse}
			removed, err := builder(t, e).Remove(t.Context(), tc.refs...)
			if !slices.Equal(removed, tc.removed) {
				t.Errorf("removed %q, want %q", removed, tc.removed)
			}
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if len(e.Calls) != len(tc.removed) {
				t.Errorf("the engine was asked to %q", e.Calls)
			}
		})
	}
}
