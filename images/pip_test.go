package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPipSettings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		listed  string
		environ []string
		want    string
	}{
		"none": {"", []string{"HOME=/x"}, ""},
		"folders and loopback mean nothing in a build": {
			"global.find-links='/wheels https://packages.example/wheels'\nglobal.index-url='http://127.0.0.1:3141/x'\n", nil,
			"find-links = https://packages.example/wheels\n",
		},
		"proxies, with a scheme and without": {
			"global.proxy='proxy.example:3128'\n", nil, "proxy = proxy.example:3128\n",
		},
		"a proxy with a password": {"", []string{"PIP_PROXY=http://me:secret@proxy.example:3128"}, "proxy = http://me:secret@proxy.example:3128\n"},
		"a proxy on loopback":     {"global.proxy='127.0.0.1:3128'\n", nil, ""},
		"another on loopback":     {"global.proxy='http://localhost:3128'\n", nil, ""},
		"no index":                {"global.no-index='true'\nglobal.find-links='https://packages.example/wheels'\n", nil, "no-index = true\nfind-links = https://packages.example/wheels\n"},
		"the environment wins": {
			"global.index-url='https://a.example/simple'\n:env:.index-url='https://b.example/simple'\n", []string{"PIP_INDEX_URL=https://b.example/simple"},
			"index-url = https://b.example/simple\n",
		},
		"several values": {
			"global.extra-index-url='\\nhttps://a.example/s\\nhttps://b.example/s'\nglobal.trusted-host='a.example'\n", nil,
			"extra-index-url = https://a.example/s\n  https://b.example/s\ntrusted-host = a.example\n",
		},
		"what to do is not where from": {"install.user='true'\nfreeze.timeout='10'\nglobal.timeout='60'\n", nil, "timeout = 60\n"},
	} {
		if diff := cmp.Diff(tc.want, pipConf(parsePipConfig(tc.listed, tc.environ))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Every secret has its mount; and none is required, because a machine without settings gives none.
func TestPipMountsAllSecrets(t *testing.T) {
	t.Parallel()
	for id := range (pipSettings{config: "[global]\n", ca: []byte("x")}).secrets() {
		if !strings.Contains(pipMounts, "type=secret,id="+id+",") {
			t.Errorf("secret %s is not in %q", id, pipMounts)
		}
	}
	if strings.Contains(pipMounts, "required") {
		t.Errorf("a machine without settings couldn't build: %q", pipMounts)
	}
}

// A Dockerfile may change its user before it calls pip.
func TestPipMountsAreForAnyUser(t *testing.T) {
	t.Parallel()
	for _, m := range strings.Fields(pipMounts) {
		if strings.Contains(m, "type=secret") && !strings.Contains(m, "mode=0444") {
			t.Errorf("%s can be read by root only", m)
		}
	}
}

// withoutSettings hides the settings for pip that the machine which runs the test has in its environment.
func withoutSettings(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(key, "PIP_") || slices.Contains([]string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "XDG_CONFIG_HOME"}, key) {
			t.Setenv(key, "")
		}
	}
}

func TestHostCertificatesReachABuild(t *testing.T) {
	dir := writeFiles(t, map[string]string{"system.crt": "the system's", "named.crt": "the environment's"})
	defer func(old []string) { systemCABundles = old }(systemCABundles)
	systemCABundles = []string{filepath.Join(dir, "none.crt"), filepath.Join(dir, "system.crt")}
	withoutSettings(t)
	t.Setenv("PATH", dir) // without pip
	for named, want := range map[string]string{"": "the system's", "named.crt": "the environment's", "none.crt": "the system's"} {
		t.Setenv("SSL_CERT_FILE", "")
		if named != "" {
			t.Setenv("SSL_CERT_FILE", filepath.Join(dir, named))
		}
		s, err := hostPipSettings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if string(s.ca) != want || s.config != "[global]\ncert = /run/secrets/ca\n" {
			t.Errorf("named %q: certificates %q, settings %q", named, s.ca, s.config)
		}
	}
	systemCABundles = nil
	t.Setenv("SSL_CERT_FILE", "")
	if s, err := hostPipSettings(t.Context()); err != nil || s.ca != nil || s.config != "" {
		t.Errorf("without certificates: settings %+v, error %v", s, err)
	}
}
