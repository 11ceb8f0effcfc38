package pyenv

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Packages whose versions must fit the generated code.
const (
	protobuf = "protobuf"
	grpcio   = "grpcio"
)

// Drift finds the requirements for protobuf and grpcio that no version can meet together with the code that was generated
// for the workspace's library, or with what the library itself asks for. pip would refuse some of them after a while of
// looking; others it installs, and a service ends as soon as it starts.
func Drift(workspace string) (fault.Invalids, error) {
	folder, err := images.PythonLibrary(workspace)
	if err != nil || folder == "" {
		return nil, err
	}
	folder, err = filepath.Rel(workspace, folder)
	if err != nil {
		return nil, err
	}
	folder = filepath.ToSlash(folder)
	needs, err := generatedNeeds(workspace, folder+"/protofiles")
	if err != nil {
		return nil, err
	}
	library, err := readPackage(workspace, folder)
	if err != nil {
		return nil, err
	}
	library = slices.DeleteFunc(library, func(r requirement) bool { return r.name != protobuf && r.name != grpcio })
	found := conflicts(library, needs)
	files, err := fs.Glob(os.DirFS(workspace), "python/*/requirements.txt")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		asked, err := readRequirements(workspace, f, map[string]bool{})
		if err != nil {
			return nil, err
		}
		found = append(found, conflicts(asked, slices.Concat(needs, library))...)
	}
	return found, nil
}

// conflicts are the requirements that can't be met together with the needs, each with the first of those.
func conflicts(asked, needs []requirement) (found fault.Invalids) {
	for _, r := range asked {
		for _, need := range needs {
			if need.name != r.name || slices.Concat(r.bounds, need.bounds).possible() {
				continue
			}
			right := need.bounds
			for _, other := range needs { // the library's own, where it says
				if other.name == r.name {
					right = other.bounds
				}
			}
			found = append(found, fault.Invalid{
				File: r.file, Line: r.line, Column: r.column,
				Problem:    fmt.Sprintf("%s doesn't go with %s in %s:%d", r.text, need.text, need.file, need.line),
				Suggestion: "write " + need.name + right.String(),
			})
			break
		}
	}
	return found
}

var (
	protobufVersion = regexp.MustCompile(`(?m)^# Protobuf Python Version: (\d+(?:\.\d+)*)`)
	protobufBuilder = regexp.MustCompile(`(?m)^from google\.protobuf\.internal import builder\b`)
	protobufCode    = regexp.MustCompile(`(?m)^from google\.protobuf import descriptor\b`)
	grpcVersion     = regexp.MustCompile(`(?m)^GRPC_GENERATED_VERSION = ['"](\d+(?:\.\d+)*)`)
)

// generatedNeeds is what generated modules ask of the packages that they run with: the same version or a newer one, of
// protobuf not newer than the next major, which is as far as its promise goes. Of several modules the one that asks for most
// counts.
func generatedNeeds(workspace, dir string) ([]requirement, error) {
	files, err := fs.Glob(os.DirFS(workspace), path.Join(dir, "*_pb2*.py"))
	if err != nil {
		return nil, err
	}
	most := map[string]requirement{}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(workspace, filepath.FromSlash(f)))
		if err != nil {
			return nil, err
		}
		if r, ok := neededBy(string(content), f); ok {
			if have, there := most[r.name]; !there || r.bounds.version(0).GreaterThan(have.bounds.version(0)) {
				most[r.name] = r
			}
		}
	}
	var needs []requirement
	for _, name := range []string{protobuf, grpcio} {
		if r, ok := most[name]; ok {
			needs = append(needs, r)
		}
	}
	return needs, nil
}

func neededBy(content, file string) (r requirement, ok bool) {
	line := func(at int) int { return strings.Count(content[:at], "\n") + 1 }
	need := func(name, text string, at int) (requirement, bool) {
		bs, ok := parseBounds(text)
		return requirement{name, bs, name + text + " of generated code", place{file, line(at), 1}}, ok
	}
	if m := grpcVersion.FindStringSubmatchIndex(content); m != nil {
		return need(grpcio, ">="+content[m[2]:m[3]], m[0])
	}
	if m := protobufVersion.FindStringSubmatchIndex(content); m != nil {
		text := content[m[2]:m[3]]
		major, _, _ := strings.Cut(text, ".")
		n, err := strconv.Atoi(major)
		if err != nil {
			return r, false
		}
		return need(protobuf, fmt.Sprintf(">=%s,<%d", text, n+2), m[0])
	}
	if m := protobufBuilder.FindStringIndex(content); m != nil {
		return need(protobuf, ">=3.20", m[0])
	}
	if m := protobufCode.FindStringIndex(content); m != nil { // older code makes its descriptors itself
		return need(protobuf, ">=3,<3.21", m[0])
	}
	return r, false
}
