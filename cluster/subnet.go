package cluster

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// candidates are the subnets to choose from: 254 /24 networks of a private range that engines (172.17/12,
// 192.168/16), kind (10.96/16, 10.244/16) and most home routers leave alone.
func candidates() []netip.Prefix {
	var all []netip.Prefix
	for i := byte(1); i < 255; i++ {
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, i, 0}), 24))
	}
	return all
}

// freeSubnet returns the first candidate that overlaps none of those taken. It begins at an offset that depends
// on the name, so that sandboxes made at the same moment rarely want the same one.
func freeSubnet(name string, all, taken []netip.Prefix) (netip.Prefix, error) {
	offset := 0
	for _, b := range []byte(name) {
		offset = (offset*31 + int(b)) % len(all)
	}
	for i := range all {
		p := all[(offset+i)%len(all)]
		if !slices.ContainsFunc(taken, p.Overlaps) {
			return p, nil
		}
	}
	return netip.Prefix{}, errors.New("no free subnet in 10.213.0.0/16 for the sandbox's network")
}

// hostPrefixes returns what this host already routes or has addresses in, except for its default route.
// What can't be read is left out: the engine refuses an overlap with its own networks anyway.
func hostPrefixes() []netip.Prefix {
	var taken []netip.Prefix
	if f, err := os.Open("/proc/net/route"); err == nil {
		taken = append(taken, parseRoutes(f)...)
		f.Close()
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			taken = append(taken, p.Masked())
		}
	}
	return taken
}

// parseRoutes reads the kernel's IPv4 routing table as /proc/net/route shows it (little-endian hexadecimal).
func parseRoutes(r io.Reader) []netip.Prefix {
	var routes []netip.Prefix
	for s := bufio.NewScanner(r); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 8 {
			continue
		}
		dst, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(dst) != 4 || len(mask) != 4 {
			continue // the heading
		}
		slices.Reverse(dst)
		slices.Reverse(mask)
		if ones, bits := net.IPMask(mask).Size(); bits == 32 && ones > 0 {
			routes = append(routes, netip.PrefixFrom(netip.AddrFrom4([4]byte(dst)), ones).Masked())
		}
	}
	return routes
}

// upperHalf is the half of p from which the engine hands out addresses; the lower one is ours to fix.
func upperHalf(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(nth(p, 1<<(31-p.Bits())), p.Bits()+1)
}

// nth returns the n-th address of an IPv4 prefix; n is below its size.
func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr().As4()
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
