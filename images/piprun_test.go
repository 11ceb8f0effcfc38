package images

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A step that is taken for one that reads no sources, and does, leaves stale files in an image.
func TestPipInstall(t *testing.T) {
	t.Parallel()
	s := stageState{args: map[string]string{"WHEEL": "lib-1.whl"}, env: map[string]string{"PATH": systemPath}, workdir: "/app"}
	for line, want := range map[string][]string{
		"pip install numpy": {},
		"pip3 install --no-cache-dir -U numpy 'pandas>=2,<3'":     {},
		"pip install 'numpy==1.26.*' uvicorn[standard] a~=1.0":    {},
		"pip install numpy==1.26.*":                               nil,
		"pip install --index-url https://packages.example/ numpy": {},
		"pip install -r requirements.txt":                         {"/app/requirements.txt"},
		"pip install --requirement=/tmp/r.txt && pip install x":   {"/tmp/r.txt"},
		"pip install /tmp/$WHEEL ${WHEEL}":                        {"/tmp/lib-1.whl", "/app/lib-1.whl"},
		"pip install .":                                           nil,
		"pip install ./lib":                                       nil,
		"pip install -e lib":                                      nil,
		"pip install lib.tar.gz":                                  nil,
		"pip install file:///app/lib.whl":                         nil,
		"pip install 'lib @ file:///app'":                         nil,
		"pip install -c constraints.txt numpy":                    nil,
		"pip install --target=/app numpy":                         nil,
		"pip install --find-links /app numpy":                     nil,
		"pip install numpy>1":                                     nil,
		"pip install $UNKNOWN":                                    nil,
		"pip install `cat main.py`":                               nil,
		"pip install $(cat main.py)":                              nil,
		"pip install numpy; python main.py":                       nil,
		"pip install numpy && python main.py":                     nil,
		"pip install numpy || true":                               nil,
		"pip install numpy | tee log":                             nil,
		"pip download numpy":                                      nil,
		"python -m pip install numpy":                             nil,
		"PYTHONPATH=/app pip install numpy":                       nil,
		"pip install":                                             nil,
		"":                                                        nil,
	} {
		requirements, wheels, ok := pipInstall(line, s)
		got := append(append([]string{}, requirements...), wheels...)
		if ok != (want != nil) || ok && cmp.Diff(want, got) != "" {
			t.Errorf("%q: got %q, %v, want %q", line, got, ok, want)
		}
	}
	for _, variable := range []string{"PYTHONPATH", "PIP_REQUIREMENT", "PIP_TARGET", "LD_PRELOAD"} {
		s.env = map[string]string{variable: "/app"}
		if _, _, ok := pipInstall("pip install numpy", s); ok {
			t.Errorf("with %s: not taken for a step that may read the sources", variable)
		}
	}
	s.env = map[string]string{"PIP_ROOT_USER_ACTION": "ignore", "PYTHONUNBUFFERED": "1"}
	if _, _, ok := pipInstall("pip install numpy", s); !ok {
		t.Error("with harmless variables: taken for a step that may read the sources")
	}
	s.shell = true
	if _, _, ok := pipInstall("pip install numpy", s); ok {
		t.Error("with another shell: not taken for a step that may read the sources")
	}
}

func TestRequirementsThatNameOnlyPackages(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"# a comment\n\nnumpy\npandas == 2.1.* # why\ngrpcio>=1.60,<2 ; python_version < '3.13'\nuvicorn[standard]\n": true,
		"--extra-index-url https://packages.example/simple\nnumpy\n":                                                  true,
		"-r other.txt\n":         false,
		"-c constraints.txt\n":   false,
		"-e .\n":                 false,
		"./lib\n":                false,
		"lib.whl\n":              false,
		"lib @ file:///app/x\n":  false,
		"--find-links=/app\n":    false,
		"numpy \\\n  --hash=x\n": false,
	} {
		if err := onlyPackages(strings.NewReader(text)); (err == nil) != want {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// Files that pip reads or runs without being told are no sources, wherever a Dockerfile puts them.
func TestFilesThatPipReadsByItself(t *testing.T) {
	t.Parallel()
	s := stageState{env: map[string]string{"PATH": "/venv/bin:" + systemPath, "HOME": "/me"}}
	for p, want := range map[string]bool{
		"/app/main.py": false, "/srv/x.py": false, "/venv/bin/pip": true, "/usr/lib/python3/x.py": true, "/me/.config/pip/pip.conf": true, "/app/setup.cfg": true,
	} {
		if got := s.isSystem(p); got != want {
			t.Errorf("%s: got %v", p, got)
		}
	}
}
