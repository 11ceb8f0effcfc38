package images

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// stageState is what the instructions of a stage have set so far: what decides where the next one puts files.
type stageState struct {
	env, args map[string]string
	workdir   string
	shell     bool // a SHELL of its own
}

// clash complains of a name whose value is not the same in every version of the builder.
func (s stageState) clash() error {
	for key, value := range s.args {
		if other, ok := s.env[key]; ok && other != value {
			return fmt.Errorf("%s is both an ARG and an ENV, with different values", key)
		}
	}
	return nil
}

// Get and Keys make a state what [shell.Lex] takes variables from.
func (s stageState) Get(key string) (string, bool) {
	if value, ok := s.env[key]; ok {
		return value, true
	}
	value, ok := s.args[key]
	return value, ok
}

func (s stageState) Keys() []string {
	return slices.AppendSeq(slices.Collect(maps.Keys(s.env)), maps.Keys(s.args))
}

// absolute is a path as an instruction means it. A slash at the end stays.
func (s stageState) absolute(p string) string {
	full := p
	if !path.IsAbs(p) {
		full = s.workdir + "/" + p
	}
	if clean := path.Clean(full); clean != "/" && (p == "" || p == "." || strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.")) {
		return clean + "/"
	} else {
		return clean
	}
}
