package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestFreeSubnet(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	all := []netip.Prefix{p("10.213.1.0/24"), p("10.213.2.0/24"), p("10.213.3.0/24")}
	for name, tc := range map[string]struct {
		taken []netip.Prefix
		want  string
	}{
		"a smaller network inside":     {[]netip.Prefix{p("10.213.1.64/26"), p("10.213.2.0/24")}, "10.213.3.0/24"},
		"a larger one around":          {[]netip.Prefix{p("10.213.2.0/23")}, "10.213.1.0/24"},
		"all of them":                  {[]netip.Prefix{p("10.0.0.0/8")}, ""},
		"others' networks don't count": {[]netip.Prefix{p("172.17.0.0/16"), p("10.213.1.0/24"), p("10.213.3.0/24")}, "10.213.2.0/24"},
	} {
		got, err := freeSubnet("example", all, tc.taken)
		if tc.want == "" {
			if err == nil {
				t.Errorf("%s: got %v, want an error", name, got)
			}
			continue
		}
		if err != nil || got.String() != tc.want {
			t.Errorf("%s: got %v, %v, want %s", name, got, err, tc.want)
		}
	}
}

func TestParseRoutes(t *testing.T) {
	t.Parallel()
	got := parseRoutes(strings.NewReader(`Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000D50A	00000000	0001	0	0	0	0000FFFF	0	0	0
`))
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.213.0.0/16")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v (the default route takes nothing)", got, want)
	}
}

// The engine must never hand out the addresses that are fixed: the gateway's and the broker's.
func TestAddressesOutsideTheEnginesRange(t *testing.T) {
	t.Parallel()
	subnet := netip.MustParsePrefix("10.213.7.0/24")
	pool := upperHalf(subnet)
	if pool.String() != "10.213.7.128/25" {
		t.Errorf("the engine's range: got %v", pool)
	}
	for _, n := range []int{1, brokerHost} {
		if a := nth(subnet, n); pool.Contains(a) || !subnet.Contains(a) {
			t.Errorf("address %v: must be in %v and not in %v", a, subnet, pool)
		}
	}
}
