package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// group makes a command that only holds others refuse what is none of them: cobra would print its help and succeed.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, words []string) error {
		if len(words) > 0 {
			return unknownCommand(cmd, words[0])
		}
		return cmd.Help()
	}
}

// unknownCommand is the error for a word that names no command under c.
func unknownCommand(c *cobra.Command, word string) error {
	var valid []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			valid = append(valid, sub.Name())
		}
	}
	return usageError{fmt.Errorf("unknown command %q%s", c.CommandPath()+" "+word, suggestion(word, valid))}
}

// flagError is the error for flags that can't be parsed.
func flagError(c *cobra.Command, err error) error {
	// An unknown command takes flags that its group can't know: the command is what is wrong.
	if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
		return unknownCommand(c, words[0])
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		var valid []string
		c.Flags().VisitAll(func(f *pflag.Flag) { valid = append(valid, "--"+f.Name) })
		err = fmt.Errorf("%w%s", err, suggestion("--"+unknown.GetSpecifiedName(), valid))
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && errors.Is(err, strconv.ErrSyntax) {
		f := invalid.GetFlag()
		err = fmt.Errorf("--%s %q: not a number", f.Name, invalid.GetValue())
		if f.Value.Type() == "bool" {
			err = fmt.Errorf("--%s %q: neither true nor false", f.Name, invalid.GetValue())
		}
	}
	return usageError{err}
}

// suggestion is the nearest valid word in parentheses, or "" when none is near.
func suggestion(word string, valid []string) string {
	if hint := nearest.Hint(word, valid); hint != "" {
		return " (" + hint + ")"
	}
	return ""
}

// ahead makes usage errors of those that cobra returns as they are: about flags before the command's name.
func ahead(err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	if errors.As(err, &unknown) || errors.As(err, &missing) || errors.As(err, &invalid) || errors.As(err, &syntax) {
		return usageError{err}
	}
	return err
}

// args wraps a check of positional arguments so that its error counts as wrong usage, and names them as the command's help does.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if check(cmd, a) == nil {
			return nil
		}
		var names []string // of the arguments: those that may be left out are in brackets
		for _, word := range strings.Fields(cmd.Use)[1:] {
			if word == strings.ToUpper(word) {
				names = append(names, word)
			}
		}
		switch {
		case len(a) < len(names):
			return usageError{fmt.Errorf("%s: %s is missing", cmd.CommandPath(), names[len(a)])}
		case len(names) == 0:
			return usageError{fmt.Errorf("%s takes no arguments: %q", cmd.CommandPath(), a[0])}
		}
		return usageError{fmt.Errorf("%s takes only %s: %q is too much", cmd.CommandPath(), strings.Join(names, " "), a[len(names)])}
	}
}

// newHelp takes the place of cobra's own, which succeeds for commands that don't exist.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Tell about a command",
		Example: `  dynsandbox help up
  dynsandbox help fixtures apply`,
		RunE: func(cmd *cobra.Command, words []string) error {
			at := cmd.Root()
			for _, w := range words {
				next, _, err := at.Find([]string{w})
				if err != nil || next == at {
					return unknownCommand(at, w)
				}
				at = next
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}
