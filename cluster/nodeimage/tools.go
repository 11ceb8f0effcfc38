package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// tool is a program or library of this machine that making a part takes.
type tool struct {
	name     string
	packages []string // Debian packages that bring it; none: it can't be installed from here
	present  func() bool
}

var (
	goCommand   = tool{"go", nil, commands("go")}
	debootstrap = tool{"debootstrap", []string{"debootstrap", "debian-archive-keyring"}, func() bool {
		_, err := os.Stat("/usr/share/keyrings/debian-archive-keyring.gpg") // Ubuntu has it in a package of its own
		return err == nil && commands("debootstrap")()
	}}
	cCompiler = tool{"gcc", []string{"gcc", "libc6-dev"}, func() bool {
		// It prints a bare name for a library that it doesn't find.
		out, err := exec.Command("gcc", "-print-file-name=libc.a").Output()
		return err == nil && filepath.IsAbs(strings.TrimSpace(string(out)))
	}}
	libseccomp = tool{"libseccomp (for development)", []string{"pkg-config", "libseccomp-dev"}, func() bool {
		return exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil
	}}
)

func commands(names ...string) func() bool {
	return func() bool {
		for _, n := range names {
			if _, err := exec.LookPath(n); err != nil {
				return false
			}
		}
		return true
	}
}

// provide sees to it that the tools which the parts need are there.
func (b *Builder) provide(ctx context.Context, parts []part) error {
	absent := lacking(parts)
	var names, packages []string
	for _, t := range absent {
		if len(t.packages) == 0 {
			return fmt.Errorf("the command %s isn't in the PATH", t.name)
		}
		names = append(names, t.name)
		packages = append(packages, t.packages...)
	}
	if len(absent) == 0 {
		return nil
	}
	if b.Install == nil {
		return fmt.Errorf("missing: %s; install the packages %s", strings.Join(names, ", "), strings.Join(packages, " "))
	}
	progress.Report(ctx, progress.Update{What: "node image: install " + strings.Join(packages, " ")})
	if err := b.Install(ctx, packages...); err != nil {
		return fmt.Errorf("install what building takes: %w", err)
	}
	if still := lacking(parts); len(still) > 0 {
		return errors.New("still missing after installing its package: " + still[0].name)
	}
	return nil
}

// lacking returns the tools that the parts need and this machine hasn't, each once.
func lacking(parts []part) []tool {
	var absent []tool
	asked := map[string]bool{}
	for _, p := range parts {
		for _, t := range p.needs {
			if !asked[t.name] && !t.present() {
				absent = append(absent, t)
			}
			asked[t.name] = true
		}
	}
	return absent
}
