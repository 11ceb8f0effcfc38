package images

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// parsedDockerfile is a Dockerfile, with what its build is given.
type parsedDockerfile struct {
	stages []instructions.Stage
	given  map[string]string // build arguments
	global map[string]string // those that are declared before the first FROM
	lex    *shell.Lex
}

// parseDockerfile takes a Dockerfile apart. An error says, for people, what in it is not understood.
func parseDockerfile(content []byte, given map[string]string) (parsedDockerfile, error) {
	d := parsedDockerfile{given: given, global: map[string]string{}}
	if ref, _, _, ok := parser.DetectSyntax(content); ok && !strings.HasPrefix(strings.TrimPrefix(ref, "docker.io/"), "docker/dockerfile:1") {
		return d, fmt.Errorf("the Dockerfile is written for %s", ref)
	}
	file, err := parser.Parse(bytes.NewReader(content))
	if err != nil {
		return d, fmt.Errorf("Dockerfile: %w", err)
	}
	stages, global, err := instructions.Parse(file.AST, nil)
	if err != nil {
		return d, fmt.Errorf("Dockerfile: %w", err)
	}
	if len(stages) == 0 {
		return d, errors.New("the Dockerfile has no stage")
	}
	d.stages, d.lex = stages, shell.NewLex(file.EscapeToken)
	before := stageState{args: d.global}
	for _, arg := range global {
		if err := d.arg(&before, &arg); err != nil {
			return d, err
		}
	}
	for i := range d.stages {
		if d.stages[i].BaseName, _, err = d.lex.ProcessWord(d.stages[i].BaseName, before); err != nil {
			return d, err
		}
	}
	return d, nil
}

// begin is a stage's state before its first instruction: its image's, or that which the stage leaves that it goes on from.
func (d parsedDockerfile) begin(at int, done []stageState, bases map[string]v1.Config) (stageState, error) {
	name := d.stages[at].BaseName
	for i := range done {
		if strings.EqualFold(d.stages[i].Name, name) {
			s := done[i]
			s.env, s.args = maps.Clone(s.env), maps.Clone(s.args)
			return s, nil
		}
	}
	s := stageState{env: map[string]string{"PATH": systemPath}, args: map[string]string{}, workdir: "/"}
	if name == "scratch" {
		return s, nil
	}
	config, ok := bases[name]
	if !ok {
		return s, fmt.Errorf("the configuration of %s is not known", name)
	}
	if len(config.OnBuild) > 0 {
		return s, fmt.Errorf("%s has ONBUILD instructions", name)
	}
	for _, kv := range config.Env {
		key, value, _ := strings.Cut(kv, "=")
		s.env[key] = value
	}
	s.workdir = cmp.Or(config.WorkingDir, "/")
	return s, nil
}

// follow carries out what an instruction sets, and replaces its variables.
func (d parsedDockerfile) follow(s *stageState, command instructions.Command) error {
	if arg, ok := command.(*instructions.ArgCommand); ok {
		return d.arg(s, arg)
	}
	if c, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		err := c.Expand(func(word string) (string, error) {
			word, _, err := d.lex.ProcessWord(word, s)
			return word, err
		})
		if err != nil {
			return err
		}
	}
	switch c := command.(type) {
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			s.env[kv.Key] = kv.Value
		}
	case *instructions.WorkdirCommand:
		if s.workdir = path.Join(s.workdir, c.Path); path.IsAbs(c.Path) {
			s.workdir = path.Clean(c.Path)
		}
	case *instructions.ShellCommand:
		s.shell = true
	case *instructions.CopyCommand, *instructions.AddCommand, *instructions.RunCommand:
	case *instructions.CmdCommand, *instructions.EntrypointCommand, *instructions.ExposeCommand, *instructions.HealthCheckCommand,
		*instructions.LabelCommand, *instructions.MaintainerCommand, *instructions.OnbuildCommand, *instructions.StopSignalCommand,
		*instructions.UserCommand, *instructions.VolumeCommand: // no files of the context
	default:
		return fmt.Errorf("%s is not known here", written(command))
	}
	return s.clash()
}

// arg carries out an ARG.
func (d parsedDockerfile) arg(s *stageState, c *instructions.ArgCommand) error {
	for _, a := range c.Args {
		if strings.HasPrefix(a.Key, "TARGET") || strings.HasPrefix(a.Key, "BUILD") {
			return fmt.Errorf("the value of %s is the builder's", a.Key)
		}
		if value, ok := d.given[a.Key]; ok {
			s.args[a.Key] = value
		} else if a.Value != nil {
			value, _, err := d.lex.ProcessWord(*a.Value, s)
			if err != nil {
				return err
			}
			s.args[a.Key] = value
		} else if value, ok := d.global[a.Key]; ok {
			s.args[a.Key] = value
		}
	}
	return s.clash()
}

// written names an instruction, for people: its text and its line.
func written(command instructions.Command) string {
	line := 0
	if at := command.Location(); len(at) > 0 {
		line = at[0].Start.Line
	}
	text := command.Name()
	if c, ok := command.(fmt.Stringer); ok {
		text, _, _ = strings.Cut(mountFlag.ReplaceAllString(c.String(), ""), "\n")
	}
	return fmt.Sprintf("%s (line %d)", text, line)
}
