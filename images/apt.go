package images

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// aptSettings are the machine's own ways to Debian's packages.
type aptSettings struct {
	mirror   string // of the main archive; "": let debootstrap choose
	security string // of the security archive; "": none known
	config   string // apt.conf lines: proxies and the like
	ca       string // CA bundle to trust, a file of this machine; "": Debian's own
}

// hostAptSettings reads them. What can't be read is left at its default.
func hostAptSettings(ctx context.Context) aptSettings {
	var s aptSettings
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)", "Created-By: Packages").Output()
	if err == nil {
		s.mirror, s.security = mirrors(string(out))
	}
	out, err = exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err == nil {
		s.config, s.ca = transport(string(out))
	}
	s.ca = cmp.Or(s.ca, hostCABundle())
	return s
}

// mirrors picks Debian's archives from apt's index targets. Releases of one mirror differ only in their name, so
// that the mirror of the machine's own release serves the others too.
func mirrors(targets string) (main, security string) {
	for line := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 || f[0] != "Debian" {
			continue
		}
		switch uri := strings.TrimSuffix(f[2], "/"); {
		case strings.HasSuffix(f[1], "-security"):
			security = uri
		case main == "" && !strings.Contains(f[1], "-"):
			main = uri
		}
	}
	return main, security
}

// transport picks from apt's settings those that say how to reach a server.
func transport(dump string) (config, ca string) {
	var b strings.Builder
	for line := range strings.Lines(dump) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.Trim(strings.TrimSuffix(value, ";"), `"`)
		if !ok || value == "" {
			continue
		}
		switch low := strings.ToLower(key); {
		case strings.HasPrefix(low, "acquire::https") && strings.HasSuffix(low, "::cainfo"):
			ca = value
		case strings.HasSuffix(low, "::proxyautodetect") || strings.HasSuffix(low, "::proxy-auto-detect"):
			// a program of this machine, which the new file system doesn't have
		case strings.HasPrefix(low, "acquire::http"), low == "acquire::retries":
			b.WriteString(key + ` "` + value + "\";\n")
		}
	}
	return b.String(), ca
}

// Files that the settings occupy in a new file system while packages are installed.
const (
	rootAptConf  = "etc/apt/apt.conf.d/zz-dynsandbox"
	rootAptCA    = "etc/apt/dynsandbox-ca.crt"
	rootSecurity = "etc/apt/sources.list.d/dynsandbox-security.list"
)

// apply writes the settings into a new file system; undo takes all but the sources out again.
func (s aptSettings) apply(root, suite string) (undo func(), err error) {
	conf := s.config
	if s.ca != "" {
		ca, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(root, rootAptCA), ca, 0o644); err != nil {
			return nil, err
		}
		conf += `Acquire::https::CAInfo "/` + rootAptCA + "\";\n"
	}
	files := map[string]string{rootAptConf: conf}
	if s.security != "" {
		files[rootSecurity] = "deb " + s.security + " " + suite + "-security main\n"
	}
	for _, path := range []string{"etc/resolv.conf", "etc/hosts"} {
		b, err := os.ReadFile("/" + path)
		if err == nil {
			files[path] = string(b)
		}
	}
	for path, content := range files {
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(full, bytes.Clone([]byte(content)), 0o644); err != nil {
			return nil, err
		}
	}
	return func() {
		for _, path := range []string{rootAptConf, rootAptCA, "etc/resolv.conf", "etc/hosts"} {
			os.Remove(filepath.Join(root, path))
		}
	}, nil
}
