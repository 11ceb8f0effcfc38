package main

import (
	"regexp"
	"testing"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

func provider(archetypes ...string) *pb.DataProvider { return &pb.DataProvider{Archetypes: archetypes} }

func TestSelectArchetype(t *testing.T) {
	t.Parallel()
	stored := []etcd.Archetype{
		{Name: "computeToData", Weight: 100},
		{Name: "dataThroughTtp", Weight: 200},
		{Name: "feather", Weight: 1},
		{Name: "alsoHundred", Weight: 100},
	}
	both := provider("computeToData", "dataThroughTtp")
	tests := []struct {
		name      string
		providers map[string]*pb.DataProvider
		options   map[string]bool
		want      string // empty: an error
	}{
		{"lightest of the allowed, not of all", map[string]*pb.DataProvider{"UVA": both}, nil, "computeToData"},
		{"lightest", map[string]*pb.DataProvider{"UVA": provider("dataThroughTtp", "feather")}, nil, "feather"},
		{"equally light", map[string]*pb.DataProvider{"UVA": provider("computeToData", "alsoHundred")}, nil, "alsoHundred"},
		{"aggregate", map[string]*pb.DataProvider{"UVA": both, "VU": both}, map[string]bool{"aggregate": true}, "dataThroughTtp"},
		{"aggregate of one", map[string]*pb.DataProvider{"UVA": both}, map[string]bool{"aggregate": true}, "dataThroughTtp"},
		{
			"aggregate that one doesn't allow", map[string]*pb.DataProvider{"UVA": both, "VU": provider("computeToData")},
			map[string]bool{"aggregate": true}, "computeToData",
		},
		{
			"apart is not aggregated, though lighter", map[string]*pb.DataProvider{"UVA": provider("feather", "computeToData"), "VU": provider("feather", "computeToData")},
			map[string]bool{"aggregate": false}, "computeToData",
		},
		{
			"one provider, not aggregated", map[string]*pb.DataProvider{"UVA": provider("feather", "computeToData")},
			map[string]bool{"aggregate": false}, "feather",
		},
		{"other options decide nothing", map[string]*pb.DataProvider{"UVA": both}, map[string]bool{"anonymize": true, "graph": false}, "computeToData"},
		{"nothing in common", map[string]*pb.DataProvider{"UVA": provider("computeToData"), "VU": provider("dataThroughTtp")}, nil, ""},
		{"allowed, but not stored", map[string]*pb.DataProvider{"UVA": provider("reproducable")}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := selectArchetype(stored, tt.providers, tt.options)
			if got.Name != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("selectArchetype = %q, %v, want %q", got.Name, err, tt.want)
			}
		})
	}
	if _, err := selectArchetype(nil, map[string]*pb.DataProvider{"UVA": both}, nil); err == nil {
		t.Error("selectArchetype with nothing stored: no error")
	}
}

func TestSelectThirdParty(t *testing.T) {
	t.Parallel()
	parties := func(names ...string) *pb.DataProvider { return &pb.DataProvider{ComputeProviders: names} }
	online := map[string]etcd.Agent{"SURF": {Name: "SURF"}, "ZED": {Name: "ZED"}}
	tests := []struct {
		name      string
		providers map[string]*pb.DataProvider
		want      string
	}{
		{"common", map[string]*pb.DataProvider{"UVA": parties("OTHER", "SURF"), "VU": parties("SURF")}, "SURF"},
		{"first by name that is online", map[string]*pb.DataProvider{"UVA": parties("ZED", "ABC", "SURF")}, "SURF"},
		{"none in common", map[string]*pb.DataProvider{"UVA": parties("SURF"), "VU": parties("ZED")}, ""},
		{"offline", map[string]*pb.DataProvider{"UVA": parties("ABC")}, ""},
		{"none at all", map[string]*pb.DataProvider{"UVA": parties()}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := selectThirdParty(tt.providers, online)
			if got.Name != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("selectThirdParty = %q, %v, want %q", got.Name, err, tt.want)
			}
		})
	}
}

func TestJobName(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"jorrit.stutterheim@cloudnation.nl": `^jorrit-stutterheim-[0-9a-f]{8}$`,
		"Ann._+B2@x":                        `^Ann-B2-[0-9a-f]{8}$`,
		"no-address":                        `^no-address-[0-9a-f]{8}$`,
		"@x":                                `^job-[0-9a-f]{8}$`,
		"__.a@x":                            `^a-[0-9a-f]{8}$`,
		"a234567890b234567890c234567890d.234567890@x": `^a234567890b234567890c234567890d-[0-9a-f]{8}$`,
	}
	for user, want := range tests {
		if got := jobName(user); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("jobName(%q) = %q, want it to match %s", user, got, want)
		}
	}
	if one, other := jobName("a@x"), jobName("a@x"); one == other {
		t.Error("two jobs of one user have the same name")
	}
}
