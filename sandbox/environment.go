package sandbox

import (
	"os"
	"slices"
	"strings"
)

// A build depends on settings in the environment: proxies, mirrors, certificates. The session process has that of the
// first `up`; each further one sends its own along.

// builds reports whether builds, or the tools that they run, read a variable.
func builds(name string) bool {
	if slices.Contains([]string{"PATH", "HOME", "GOPROXY", "GOSUMDB", "GOFLAGS", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOMODCACHE", "GOCACHE", "GOTOOLCHAIN",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}, name) {
		return true
	}
	return strings.HasPrefix(name, "PIP_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
}

// buildEnvironment is what of this process's environment builds depend on.
func buildEnvironment() map[string]string {
	out := map[string]string{}
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); builds(name) {
			out[name] = value
		}
	}
	return out
}

// setEnvironment makes this process's environment like the other, as far as builds depend on it.
func setEnvironment(other map[string]string) {
	for name := range buildEnvironment() {
		if _, ok := other[name]; !ok {
			os.Unsetenv(name)
		}
	}
	for name, value := range other {
		if builds(name) {
			os.Setenv(name, value)
		}
	}
}
