package images

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

// pipSettings are this machine's own ways to Python packages, in the form in which a build uses them. The zero value
// stands for a machine that has none.
type pipSettings struct {
	config string // a pip.conf
	ca     []byte // a CA bundle, which config names as pipCAAt; nil: none
}

// pipKeys are the settings of pip that say where packages come from, rather than what to do with them.
var pipKeys = []string{"index-url", "extra-index-url", "no-index", "trusted-host", "find-links", "proxy", "timeout", "default-timeout", "retries"}

// Where a build's secrets are mounted.
const (
	pipConfAt = "/etc/pip.conf"
	pipCAAt   = "/run/secrets/ca"
)

// hostPipSettings reads pip's settings from its files and the environment.
func hostPipSettings(ctx context.Context) (pipSettings, error) {
	listed := ""
	for _, argv := range [][]string{{"pip", "config", "list"}, {"python3", "-m", "pip", "config", "list"}} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output(); err == nil {
			listed = string(out)
			break
		}
	}
	settings := parsePipConfig(listed, os.Environ())
	s := pipSettings{config: pipConf(settings)}
	// A base image has the public certificates only, and a mirror's may be one of this machine's own.
	if ca := cmp.Or(settings["cert"], hostCABundle()); ca != "" {
		var err error
		if s.ca, err = os.ReadFile(ca); err != nil {
			return s, err
		}
		s.config += "cert = " + pipCAAt + "\n"
	}
	if s.config != "" {
		s.config = "[global]\n" + s.config
	}
	return s, nil
}

// parsePipConfig returns pip's settings by key, from what `pip config list` prints and from PIP_ variables, which win.
func parsePipConfig(listed string, environ []string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(listed) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		section, key, dotted := strings.Cut(key, ".")
		if !ok || !dotted || section == ":env:" {
			continue
		}
		value = strings.NewReplacer(`\n`, " ", `\\`, `\`).Replace(strings.Trim(value, `'"`))
		// Sections of single commands come after [global] there, and win, as they do in pip.
		if section == "global" || section == "install" || section == "wheel" {
			settings[key] = value
		}
	}
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if key, ok := strings.CutPrefix(key, "PIP_"); ok && value != "" {
			settings[strings.ToLower(strings.ReplaceAll(key, "_", "-"))] = value
		}
	}
	return settings
}

// pipConf writes the settings that mean something inside a build: a folder of this machine doesn't, nor does a
// server on its loopback.
func pipConf(settings map[string]string) string {
	var b strings.Builder
	for _, key := range pipKeys {
		var kept []string
		for value := range strings.FieldsSeq(settings[key]) {
			if reachable(key, value) {
				kept = append(kept, value)
			}
		}
		if len(kept) > 0 {
			b.WriteString(key + " = " + strings.Join(kept, "\n  ") + "\n")
		}
	}
	return b.String()
}

// reachable reports whether a build can use one value of a setting.
func reachable(key, value string) bool {
	switch key {
	case "no-index", "timeout", "default-timeout", "retries", "trusted-host":
		return true
	}
	if key == "proxy" && !strings.Contains(value, "://") {
		value = "//" + value // pip takes "host:port" too
	}
	u, err := url.Parse(value)
	return err == nil && u.Host != "" && !isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pipMounts are the mounts through which a RUN gets this machine's pip settings without a trace in the image (but for
// empty folders), and pip's cache from one build to the next. Any user may read them: a Dockerfile may change it first.
// They are the same on every machine: a secret that isn't given is not mounted.
const pipMounts = "--mount=type=cache,target=/root/.cache/pip" +
	" --mount=type=secret,id=pip,mode=0444,target=" + pipConfAt + " --mount=type=secret,id=ca,mode=0444,target=" + pipCAAt

// secrets are what a build mounts, by the names that [pipMounts] uses.
func (s pipSettings) secrets() map[string][]byte {
	m := map[string][]byte{}
	if s.config != "" {
		m["pip"] = []byte(s.config)
	}
	if s.ca != nil {
		m["ca"] = s.ca
	}
	return m
}
