package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// A step of a Dockerfile as the tests' engine carries it out: what it copies, one layer for each, or what a RUN makes.
type testStep struct {
	copies map[string]string // pattern in the context: folder in the image, which gets the files or the folder's content
	makes  map[string]string // files, with a slash at the end folders, with "-> " links
}

const testBase = "usr/bin/python"

var (
	platformSteps = []testStep{
		{makes: map[string]string{"app/": "", "usr/lib/dynamos.py": "lib"}},
		{copies: map[string]string{"protofiles": "app/protofiles"}},
		{makes: map[string]string{"app/protofiles/__pycache__/": "", "app/protofiles/__pycache__/a_pb2.cpython-311.pyc": "code"}},
		{copies: map[string]string{"*.csv": "app/datasets"}},
		{copies: map[string]string{"dat[a]": "app/data"}},
		{copies: map[string]string{"*.py": "app/query"}},
	}
	pipSteps = []testStep{
		{makes: map[string]string{"app/": "", "app/query/": "", "app/datasets/": ""}},
		{copies: map[string]string{"requirements.txt": "app"}},
		{copies: map[string]string{"*.py": "app/query"}},
		{copies: map[string]string{"protofiles/*.py": "app/protofiles"}},
		{copies: map[string]string{"*.csv": "app/datasets"}},
		{makes: map[string]string{"usr/lib/numpy.py": "1"}},
	}
)

const pipDockerfile = `FROM python:3.12-slim
ARG NAME
ARG WHEEL_NAME
ENV NAME=$NAME
WORKDIR /app
RUN mkdir $NAME && mkdir datasets
COPY requirements.txt .
COPY ./*.py /app/$NAME
COPY ./protofiles/*.py /app/protofiles/
COPY ./*.csv /app/datasets
COPY $WHEEL_NAME /tmp/
RUN pip install --no-cache-dir /tmp/$WHEEL_NAME && pip install -r requirements.txt
RUN pip install --upgrade "numpy<3" pandas
ENV PYTHONPATH="/app/protofiles"
CMD ["sh", "-c", "python /app/${NAME}/main.py"]
`

func TestChangeOfSourcesIsOneLayer(t *testing.T) {
	ours, err := os.ReadFile("../platform/python/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, workspace string) { writeAt(t, filepath.Join(workspace, "python", name), text) }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, workspace string) {
			if err := os.RemoveAll(filepath.Join(workspace, "python", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	copyAll := []testStep{{copies: map[string]string{".": "app"}}}
	sources := []testStep{{copies: map[string]string{"*.py": "app"}}}
	for name, tc := range map[string]struct {
		dockerfile string
		steps      []testStep
		change     func(*testing.T, string)
		reason     string // "": a layer
	}{
		"a file is changed":                  {string(ours), platformSteps, write("query/main.py", "x = 2"), ""},
		"a file is new":                      {string(ours), platformSteps, write("query/tables.py", "y = 1"), ""},
		"a file is gone":                     {string(ours), platformSteps, remove("query/old.py"), ""},
		"a file becomes executable":          {string(ours), platformSteps, executable("python/query/main.py"), ""},
		"data is changed":                    {string(ours), platformSteps, write("query/people.csv", "3"), ""},
		"a folder is new":                    {string(ours), platformSteps, write("query/data/more/deep/a.txt", "new"), ""},
		"a folder is gone":                   {string(ours), platformSteps, remove("query/data/sub"), ""},
		"a folder is a file now":             {string(ours), platformSteps, andThen(remove("query/data/sub"), write("query/data/sub", "")), "is no longer what it was"},
		"a file that nothing takes":          {string(ours), platformSteps, write("query/README.txt", "read me"), ""},
		"requirements":                       {string(ours), platformSteps, write("query/requirements.txt", "numpy\npandas\n"), "requirements.txt was changed: RUN pip install /tmp/install/${WHEEL_NAME} -r /tmp/install/requirements.txt && rm -r /tmp/install "},
		"the Dockerfile":                     {string(ours), platformSteps, write("Dockerfile", string(ours)+"ENV A=1\n"), "the Dockerfile was changed"},
		"the library":                        {string(ours), platformSteps, write("lib/lib.py", "changed"), "the Python library was changed"},
		"the messages":                       {string(ours), platformSteps, write("lib/protofiles/a_pb2.py", "changed"), "the Python library was changed"},
		"the first file of a pattern":        {string(ours), platformSteps, andThen(remove("query/people.csv")), "finds its first file, or none any more"},
		"pip after it: a source":             {pipDockerfile, pipSteps, write("query/main.py", "x = 2"), ""},
		"pip after it: new, gone":            {pipDockerfile, pipSteps, andThen(write("query/new.py", ""), remove("query/old.py")), ""},
		"pip after it: requirements":         {pipDockerfile, pipSteps, write("query/requirements.txt", "pandas"), "requirements.txt was changed: RUN pip install --no-cache-dir /tmp/$WHEEL_NAME && pip install -r requirements.txt (line 12) reads it"},
		"pip after it: a path in them":       {pipDockerfile, pipSteps, andThen(write("query/requirements.txt", "./main.py"), write("query/main.py", "x = 2")), "may read it"},
		"a step after it":                    {"FROM python:3.12-slim\nCOPY *.py /app/\nRUN python -m compileall /app\n", sources, write("query/main.py", "x = 2"), "main.py was changed: RUN python -m compileall /app (line 3) comes after it and may read it"},
		"a step after it: a new file":        {"FROM python:3.12-slim\nCOPY *.py /app/\nRUN python -m compileall /app\n", sources, write("query/new.py", ""), "new.py was changed: RUN"},
		"pip installs the sources":           {"FROM python:3.12-slim\nWORKDIR /app\nCOPY *.py .\nRUN pip install .\n", sources, write("query/main.py", "x = 2"), "may read it"},
		"all of the context":                 {"FROM python:3.12-slim\nCOPY . /app\n", copyAll, write("query/data/sub/b.txt", "changed"), ""},
		"all of it, some ignored":            {"FROM python:3.12-slim\nCOPY . /app\n", copyAll, write("query/.dockerignore", "data\n"), ".dockerignore was changed"},
		"a file that is ignored":             {"FROM python:3.12-slim\nCOPY *.py /app/\n", []testStep{{copies: map[string]string{"*.py": "app"}}}, write("query/ignored.py", "2"), ""},
		"a file that may be ignored no more": {"FROM python:3.12-slim\nCOPY *.py /app/\n", []testStep{{copies: map[string]string{"*.py": "app"}}}, remove("query/Dockerfile.dockerignore"), "Dockerfile.dockerignore was changed"},
		"the last of several stages":         {"FROM python:3.12-slim AS deps\nCOPY requirements.txt /tmp/\nRUN pip install -r /tmp/requirements.txt\nFROM deps\nCOPY *.py /app/\n", sources, write("query/main.py", "x = 2"), ""},
		"one of several stages":              {"FROM python:3.12-slim AS build\nCOPY *.py /src/\nRUN cp -r /src /out\nFROM python:3.12-slim\nCOPY --from=build /out/ /app/\n", sources, write("query/main.py", "x = 2"), "main.py was changed: COPY *.py /src/ (line 2) takes it"},
		"a stage mounts the context":         {"FROM python:3.12-slim\nCOPY *.py /app/\nRUN --mount=type=bind,target=/c pip install numpy\n", sources, write("query/main.py", "x = 2"), "mounts the context"},
		"an owner of its own":                {"FROM python:3.12-slim\nCOPY --chown=1:1 *.py /app/\n", sources, write("query/main.py", "x = 2"), "(line 2) takes it"},
		"an archive that is unpacked":        {"FROM python:3.12-slim\nADD *.py /app/\n", sources, write("query/main.py", "x = 2"), "ADD *.py /app/ (line 2) takes it"},
		"an instruction that nobody knows":   {"FROM python:3.12-slim\nCOPY *.py /app/\nMOVE a b\n", sources, write("query/main.py", "x = 2"), "unknown instruction: MOVE"},
		"a platform's argument":              {"FROM python:3.12-slim\nARG TARGETARCH\nCOPY *.py /app/\n", sources, write("query/main.py", "x = 2"), "the value of TARGETARCH is the builder's"},
		"bytecode of the sources":            {"FROM python:3.12-slim\nCOPY *.py /app/\n", append(sources, testStep{makes: map[string]string{"app/__pycache__/main.pyc": ""}}), write("query/main.py", "x = 2"), "is bytecode of the sources"},
		"something else is in the layer":     {"FROM python:3.12-slim\nCOPY *.py /app/\n", []testStep{{copies: map[string]string{"*.py": "app", "*.csv": "app"}}}, write("query/main.py", "x = 2"), "brought other files"},
		"a link above the sources":           {"FROM python:3.12-slim\nRUN ln -s /srv /app\nCOPY *.py /app/\n", []testStep{{makes: map[string]string{"srv/": "", "app": "-> srv"}}, {copies: map[string]string{"*.py": "srv"}}}, write("query/main.py", "x = 2"), "/app/main.py is not in the image"},
		"a source among the messages":        {"FROM python:3.12-slim\nCOPY protofiles/ /app/\n", []testStep{{copies: map[string]string{"protofiles": "app"}}}, write("query/protofiles/more.py", "x = 2"), "finds its first file"},
		"a file that a step made":            {"FROM python:3.12-slim\nRUN touch /app/made.py\nCOPY *.py /app/\n", append([]testStep{{makes: map[string]string{"app/": "", "app/made.py": ""}}}, sources...), write("query/made.py", "mine"), "something else put /app/made.py into the image"},
	} {
		t.Run(name, func(t *testing.T) {
			workspace := writeFiles(t, map[string]string{
				"python/Dockerfile": tc.dockerfile, "python/lib/setup.py": "", "python/lib/protofiles/a_pb2.py": "messages",
				"python/query/main.py": "x = 1", "python/query/old.py": "z", "python/query/requirements.txt": "numpy # fast\n", "python/query/people.csv": "1;2",
				"python/query/Dockerfile.dockerignore": "ign*\n", "python/query/ignored.py": "1", "python/query/data/a.txt": "a", "python/query/data/sub/b.txt": "b",
			})
			b, e := pythonBuilder(t, workspace)
			e.makes = func(q url.Values) []string { return testLayers(t, filepath.Join(b.Cache, "contexts"), q, tc.steps) }
			var said []string
			ctx := progress.With(t.Context(), func(u progress.Update) { said = append(said, u.What) })
			svc := Service{Name: "query", Dir: query, Language: Python}
			first, err := b.Build(ctx, svc)
			if err != nil {
				t.Fatal(err)
			}
			asked := len(e.builds)
			tc.change(t, workspace)
			said = nil
			got, err := b.Build(ctx, svc)
			if err != nil {
				t.Fatal(err)
			}
			if built := len(e.builds) > asked; built != (tc.reason != "") || !strings.Contains(strings.Join(said, "\n"), tc.reason) {
				t.Errorf("built by the engine: %v, said %q, want the reason %q", built, said, tc.reason)
			}
			if tc.reason == "" {
				if more := len(layersOf(t, got)) - len(layersOf(t, first)); more > 1 {
					t.Errorf("%d more layers", more)
				}
			}
			files := filesOf(t, got)
			if files[testBase] == "" {
				t.Fatalf("the image has only %d files", len(files))
			}
			if err := os.RemoveAll(b.builtDir()); err != nil { // nothing is known of the first
				t.Fatal(err)
			}
			e.built = nil
			rebuilt, err := b.Build(ctx, svc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(filesOf(t, rebuilt), files); diff != "" {
				t.Errorf("not what a build makes: %s", diff)
			}
		})
	}
}

// Each change is a layer on what the engine built, not on the change before, and whoever starts anew finds the same.
func TestLayersDoNotPileUp(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"python/Dockerfile": "FROM python:3.12-slim\nCOPY *.py /app/\n", "python/query/main.py": "0", "python/query/other.py": "0"})
	b, e := pythonBuilder(t, workspace)
	e.makes = func(q url.Values) []string {
		return testLayers(t, filepath.Join(b.Cache, "contexts"), q, []testStep{{copies: map[string]string{"*.py": "app"}}})
	}
	svc := Service{Name: "query", Dir: query, Language: Python}
	first := buildQuery(t, b)
	digest := ""
	for n := range 3 * keptSourceLayers {
		writeAt(t, filepath.Join(workspace, query, "main.py"), fmt.Sprint(n+1))
		digest = buildQuery(t, b)
		if n == 0 {
			writeAt(t, filepath.Join(workspace, query, "other.py"), "1")
		}
	}
	again := &PythonBuilder{&DockerfileBuilder{Workspace: workspace, Cache: b.Cache, Docker: b.Docker, Bases: b.Bases}}
	img, err := again.Build(t.Context(), svc)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := img.Digest(); err != nil || d.String() != digest {
		t.Errorf("another builder made %s, error %v, want %s", d, err, digest)
	}
	layers := layersOf(t, img)
	if len(e.builds) != 1 || len(layers) != 3 {
		t.Errorf("%d builds, %d layers", len(e.builds), len(layers))
	}
	if kept, err := filepath.Glob(filepath.Join(b.builtDir(), "*", "*.tar")); err != nil || len(kept) != keptSourceLayers {
		t.Errorf("%d layers are kept, error %v", len(kept), err)
	}
	for _, name := range []string{"main.py", "other.py"} {
		writeAt(t, filepath.Join(workspace, query, name), "0")
	}
	if back := buildQuery(t, b); back != first {
		t.Errorf("with the first sources: image %s, want %s", back, first)
	}
}

// A cache that lost an image's layers must not be built on.
func TestLayerNeedsItsBase(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"python/Dockerfile": "FROM python:3.12-slim\nCOPY *.py /app/\n", "python/query/main.py": "0"})
	b, e := pythonBuilder(t, workspace)
	e.makes = func(q url.Values) []string {
		return testLayers(t, filepath.Join(b.Cache, "contexts"), q, []testStep{{copies: map[string]string{"*.py": "app"}}})
	}
	buildQuery(t, b)
	if err := os.RemoveAll(layersDir(b.Cache)); err != nil {
		t.Fatal(err)
	}
	writeAt(t, filepath.Join(workspace, query, "main.py"), "1")
	buildQuery(t, b)
	if len(e.builds) != 2 {
		t.Errorf("%d builds", len(e.builds))
	}
}

func executable(name string) func(*testing.T, string) {
	return func(t *testing.T, workspace string) {
		if err := os.Chmod(filepath.Join(workspace, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func andThen(changes ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, workspace string) {
		for _, change := range changes {
			change(t, workspace)
		}
	}
}

// testLayers is what the tests' engine makes of a context: nothing for the library, whose files come out of a container.
func testLayers(t *testing.T, dir string, q url.Values, steps []testStep) []string {
	contexts, err := filepath.Glob(filepath.Join(dir, "context-[0-9]*"))
	if err != nil || !strings.Contains(q.Get("t"), "built-query") {
		return []string{"library"}
	}
	layers := []string{testTar(t, map[string]tarEntry{"usr/": {mode: fs.ModeDir | 0o755}, "usr/bin/": {mode: fs.ModeDir | 0o755}, testBase: {mode: 0o755}})}
	for _, s := range steps {
		entries := map[string]tarEntry{}
		for name, text := range s.makes {
			entries[name] = tarEntry{0o644, text}
			if strings.HasSuffix(name, "/") {
				entries[name] = tarEntry{mode: fs.ModeDir | 0o755}
			} else if to, ok := strings.CutPrefix(text, "-> "); ok {
				entries[name] = tarEntry{fs.ModeSymlink | 0o777, to}
			}
		}
		for pattern, to := range s.copies {
			found, err := filepath.Glob(filepath.Join(contexts[0], pattern))
			if err != nil {
				t.Error(err)
			}
			for _, f := range found {
				copyInto(t, entries, f, to)
			}
		}
		layers = append(layers, testTar(t, entries))
	}
	return layers
}

// copyInto adds a file, or a folder's content, under the path to: without what the tests' .dockerignore names.
func copyInto(t *testing.T, entries map[string]tarEntry, from, to string) {
	for dir := to; dir != "."; dir = path.Dir(dir) {
		entries[dir+"/"] = tarEntry{mode: fs.ModeDir | 0o755}
	}
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), "ignored") {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			entries[path.Join(to, rel)+"/"] = tarEntry{mode: fs.ModeDir | 0o755}
			return err
		}
		if p == from {
			rel = d.Name()
		}
		text, err := os.ReadFile(p)
		entries[path.Join(to, rel)] = tarEntry{info.Mode(), string(text)}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

type tarEntry struct {
	mode fs.FileMode
	text string
}

func testTar(t *testing.T, entries map[string]tarEntry) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: int64(entries[name].mode.Perm()), Size: int64(len(entries[name].text)), ModTime: contextTime}
		switch entries[name].mode.Type() {
		case fs.ModeDir:
			h.Typeflag = tar.TypeDir
		case fs.ModeSymlink:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, entries[name].text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(w, entries[name].text[:h.Size]); err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	return b.String()
}

func layersOf(t *testing.T, img v1.Image) []v1.Layer {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	return layers
}

// filesOf is an image's file system: modes, owners, times of files, and content, by path.
func filesOf(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	files := map[string]string{}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		files[path.Clean(h.Name)] = fmt.Sprintf("%c %o %d:%d %s %q", h.Typeflag, h.Mode, h.Uid, h.Gid, h.ModTime.UTC(), text)
	}
}
