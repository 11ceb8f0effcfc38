package e2e

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What we listen on: loopback and the sandbox's own network, never more.
func TestListeners(t *testing.T) {
	var networks []struct {
		IPAM struct {
			Config []struct{ Gateway string }
		}
	}
	out, err := exec.Command("docker", "network", "inspect", "dynsandbox-"+sandboxName).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &networks); err != nil {
		t.Fatal(err)
	}
	gateway := netip.MustParseAddr(networks[0].IPAM.Config[0].Gateway)

	out, err = exec.Command("ss", "-Hltnp").Output()
	if err != nil {
		t.Fatal(err)
	}
	process := regexp.MustCompile(`users:\(\("([^"]+)",pid=(\d+)`)
	session := strconv.Itoa(sessionPID(t)) // other sandboxes of this machine have their own networks
	found := map[string]int{}
	for line := range strings.Lines(string(out)) {
		m := process.FindStringSubmatch(line)
		if m == nil || (m[2] != session && m[1] != "docker-proxy") {
			continue
		}
		found[m[1]]++
		at, err := netip.ParseAddrPort(strings.Fields(line)[3])
		if err != nil {
			t.Errorf("a listener on %s", strings.Fields(line)[3])
			continue
		}
		if !at.Addr().IsLoopback() && at.Addr() != gateway {
			t.Errorf("%s listens on %s: neither loopback nor the sandbox's network (%s)", m[1], at, gateway)
		}
	}
	if found["dynsandbox"] < 5 { // config store and receivers of spans twice, HTTP entry
		t.Errorf("listeners of the session process: %d", found["dynsandbox"])
	}
}
