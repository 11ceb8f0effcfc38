package images

import (
	"slices"
	"strings"
)

// environment are the variables that builds, or the tools that they run, read, beside those of compiler settings that
// change what is made ([goVariables]).
var environment = []string{
	"PATH", "HOME", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOMODCACHE", "GOCACHE", "GOTOOLCHAIN",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "VIRTUAL_ENV", // where pip's settings are
}

// ReadsVariable reports whether builds read a variable of the environment.
func ReadsVariable(name string) bool {
	return slices.Contains(environment, name) || slices.Contains(goVariables, name) ||
		strings.HasPrefix(name, "PIP_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY")
}
