package sandbox

import (
	"os"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
)

// A build depends on settings in the environment: proxies, mirrors, certificates. The session process has that of the
// first `up`; each further one sends its own along.

// buildEnvironment is what of this process's environment builds depend on.
func buildEnvironment() map[string]string {
	out := map[string]string{}
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); images.ReadsVariable(name) {
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
		if images.ReadsVariable(name) {
			os.Setenv(name, value)
		}
	}
}
