package images

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path"
	"regexp"
	"strings"
)

// syntaxScript has Python read its sources without running them, and prints a line for each that it can't. Its input is
// "3.MINOR", the version that will run them, and the files. One that is older itself has no say.
const syntaxScript = `
import sys
version, *files = sys.stdin.read().split("\0")
if sys.version_info >= tuple(map(int, version.split("."))):
    for file in files:
        try:
            with open(file, "rb") as f:
                compile(f.read(), file, "exec", dont_inherit=True)
        except SyntaxError as e:
            print(f"{file}:{e.lineno}:{e.offset}: {e.msg}")
        except ValueError as e:
            print(f"{file}: {e}")
        except OSError:
            pass
`

var pythonVersion = regexp.MustCompile(`(?:^|/|-)python:(3\.\d+)`)

// PythonVersion is the minor version that a reference of an image with Python, or of a stand-in for one, has; "" of another.
func PythonVersion(ref string) string {
	if m := pythonVersion.FindStringSubmatch(ref); m != nil {
		return m[1]
	}
	return ""
}

// checkSyntax has this machine's Python, if there is one of that version or a newer, read the sources that lie in a service's own
// folder, as an error there would come to light only when a request runs the service. Those in folders below may be meant not to
// be read, such as a test's. The error has a line for each mistake.
func (b *PythonBuilder) checkSyntax(ctx context.Context, svc Service, in pythonInputs) error {
	input := []string{""}
	for _, c := range in.from.chosen {
		if version := PythonVersion(c.Ref); version != "" {
			input[0] = version
		}
	}
	for p, f := range in.context {
		if !f.folder && f.source != "" && path.Ext(p) == ".py" && !strings.Contains(p, "/") {
			input = append(input, path.Join(svc.Dir, p))
		}
	}
	if input[0] == "" || len(input) == 1 {
		return nil
	}
	cmd := exec.CommandContext(ctx, "python3", "-I", "-S", "-W", "ignore", "-c", syntaxScript)
	cmd.Dir = b.Workspace
	cmd.Stdin = strings.NewReader(strings.Join(input, "\x00"))
	out, err := cmd.Output()
	if said := string(bytes.TrimSpace(out)); err == nil && said != "" {
		return errors.New(said)
	}
	return ctx.Err() // a Python that can't be run is no mistake of the service's
}
