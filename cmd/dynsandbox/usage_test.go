package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// example is a command's first one, which may have something before the program's name: sudo, or a shell's eval.
var example = regexp.MustCompile(`\nExamples:\n  .*dynsandbox `)

// Every command's help has an example and ends with the exit codes, those included that are added later.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command, words []string)
	visit = func(c *cobra.Command, words []string) {
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				visit(sub, append(words[:len(words):len(words)], sub.Name()))
			}
		}
		t.Run("dynsandbox "+strings.Join(words, " "), func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), streams{out: &out, err: &errs}, append(words, "--help"))
			if code != exitOK || errs.Len() > 0 {
				t.Fatalf("exit code %d, standard error %q", code, &errs)
			}
			if !example.MatchString(out.String()) {
				t.Errorf("no example of the command in:\n%s", &out)
			}
			if !strings.HasSuffix(out.String(), exitStatus) {
				t.Errorf("doesn't end with the exit codes:\n%s", &out)
			}
		})
	}
	root := newRoot(streams{})
	root.InitDefaultHelpCmd()
	visit(root, nil)
}
