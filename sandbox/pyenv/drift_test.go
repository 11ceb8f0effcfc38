package pyenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Code as generators of several ages wrote it.
const (
	newProtobuf = "# Generated\n# Protobuf Python Version: 6.31.1\nfrom google.protobuf import descriptor as d\nfrom google.protobuf.internal import builder as b\n"
	midProtobuf = "# Generated\nfrom google.protobuf import descriptor as d\nfrom google.protobuf.internal import builder as b\n"
	oldProtobuf = "# Generated\nfrom google.protobuf import descriptor as d\n"
	newGRPC     = "import grpc\n\nGRPC_GENERATED_VERSION = '1.71.0'\n"
)

// workspaceOf writes files into a folder, with a Python library that asks for nothing.
func workspaceOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"python/lib/setup.py": "setup(name='lib')\n", "python/svc/main.py": ""}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDrift(t *testing.T) {
	t.Parallel()
	const generated, stubs, requirements = "python/lib/protofiles/a_pb2.py", "python/lib/protofiles/a_pb2_grpc.py", "python/svc/requirements.txt"
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"all is well": {map[string]string{
			generated: newProtobuf, stubs: newGRPC, requirements: "protobuf>=6.31.1\ngrpcio==1.80.0\npandas==2.2\n",
		}, nil},
		"older than generated code": {map[string]string{
			generated: newProtobuf, stubs: newGRPC, requirements: "# ours\n\n  protobuf==5.29.0 # pinned\ngrpcio[x] < 1.71 \n",
		}, []string{
			"python/svc/requirements.txt:3:3: protobuf==5.29.0 doesn't go with protobuf>=6.31.1,<8 of generated code in python/lib/protofiles/a_pb2.py:2 (write protobuf>=6.31.1,<8)",
			"python/svc/requirements.txt:4:1: grpcio[x] < 1.71 doesn't go with grpcio>=1.71.0 of generated code in python/lib/protofiles/a_pb2_grpc.py:3 (write grpcio>=1.71.0)",
		}},
		"the module that asks for most": {map[string]string{
			generated: midProtobuf, "python/lib/protofiles/b_pb2.py": newProtobuf, requirements: "protobuf==5.29.0",
		}, []string{"python/svc/requirements.txt:1:1: protobuf==5.29.0 doesn't go with protobuf>=6.31.1,<8 of generated code in python/lib/protofiles/b_pb2.py:2 (write protobuf>=6.31.1,<8)"}},
		"two majors newer": {map[string]string{generated: newProtobuf, requirements: "Protobuf>=8.0"}, []string{
			"python/svc/requirements.txt:1:1: Protobuf>=8.0 doesn't go with protobuf>=6.31.1,<8 of generated code in python/lib/protofiles/a_pb2.py:2 (write protobuf>=6.31.1,<8)",
		}},
		"code with a builder": {map[string]string{generated: midProtobuf, requirements: "protobuf==3.19.6\n"}, []string{
			"python/svc/requirements.txt:1:1: protobuf==3.19.6 doesn't go with protobuf>=3.20 of generated code in python/lib/protofiles/a_pb2.py:3 (write protobuf>=3.20)",
		}},
		"code without": {map[string]string{generated: oldProtobuf, requirements: "protobuf>=4\n"}, []string{
			"python/svc/requirements.txt:1:1: protobuf>=4 doesn't go with protobuf>=3,<3.21 of generated code in python/lib/protofiles/a_pb2.py:2 (write protobuf>=3,<3.21)",
		}},
		"the library pins another": {map[string]string{
			generated: midProtobuf, requirements: "protobuf>=5\n", "python/lib/setup.py": "setup(\n  install_requires=[\n    'protobuf==4.25.3', 'grpcio>=1.59',\n    # 'protobuf==9',\n  ])\n",
		}, []string{"python/svc/requirements.txt:1:1: protobuf>=5 doesn't go with protobuf==4.25.3 in python/lib/setup.py:3 (write protobuf==4.25.3)"}},
		"the library itself": {map[string]string{
			generated: newProtobuf, "python/lib/pyproject.toml": "[project]\ndependencies = [\n  \"protobuf>=5,<6\", # \"protobuf<5\"\n]\n",
		}, []string{"python/lib/pyproject.toml:3:3: protobuf>=5,<6 doesn't go with protobuf>=6.31.1,<8 of generated code in python/lib/protofiles/a_pb2.py:2 (write protobuf>=6.31.1,<8)"}},
		"in a file that is included": {map[string]string{
			generated: newProtobuf, requirements: "-r ../base.txt\n-r requirements.txt\n", "python/base.txt": "protobuf~=5.0\n",
		}, []string{"python/base.txt:1:1: protobuf~=5.0 doesn't go with protobuf>=6.31.1,<8 of generated code in python/lib/protofiles/a_pb2.py:2 (write protobuf>=6.31.1,<8)"}},
		"what can't be told": {map[string]string{
			generated: newProtobuf, requirements: "protobuf==5; python_version<'3.9'\nprotobuf @ https://example.org/p.whl\n-e .\nhttps://example.org/x.whl\nprotobuf-inspector==1\n",
		}, nil},
		"no library": {map[string]string{"python/lib/main.py": "", generated: newProtobuf, requirements: "protobuf==5"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := Drift(workspaceOf(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Error())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// The reference platform's services and its library go together; a service that pins an older protobuf wouldn't.
func TestReferencePlatform(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "python", "lib"), os.DirFS("../../platform/python/dynamos-python-lib")); err != nil {
		t.Fatal(err)
	}
	if found, err := Drift(dir); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "python", "svc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "python", "svc", "requirements.txt"), []byte("protobuf==4.25.3\ngrpcio==1.59.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err := Drift(dir); err != nil || len(found) != 2 || !strings.Contains(found[1].Error(), "grpcio>=") {
		t.Errorf("%v, %v", found, err)
	}
}
