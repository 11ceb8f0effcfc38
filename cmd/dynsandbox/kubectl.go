package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	kubectl "k8s.io/kubectl/pkg/cmd/util"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newKubectl(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [ARGUMENTS...]",
		Short: "kubectl, linked in, for the sandbox's cluster",
		Long: `kubectl runs the kubectl that this program carries against the sandbox's own cluster. All arguments are
kubectl's, and so is the exit status, but for 3; name another sandbox before the word: dynsandbox --name other
kubectl get pods. What kubectl says of itself: dynsandbox kubectl help.`,
		Example: `  dynsandbox kubectl get pods -A
  dynsandbox kubectl logs -n uva deploy/uva -c uva`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, a []string) error {
			if slices.Equal(a, []string{"--help"}) || slices.Equal(a, []string{"-h"}) {
				return c.Help()
			}
			st, err := g.state()
			if err != nil {
				return err
			}
			if _, err := st.Read(); err != nil {
				return err
			}
			if _, err := os.Stat(st.Kubeconfig()); err != nil {
				return fmt.Errorf("%w: %q has no cluster yet", sandbox.ErrNoSandbox, st.Name)
			}
			if err := os.Setenv(clientcmd.RecommendedConfigPathEnvVar, st.Kubeconfig()); err != nil {
				return err
			}
			// kubectl looks after signals itself where it has to, and ignores the context: exec and proxy could not
			// be interrupted.
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			return g.kubectl(a)
		},
	}
}

// kubectl runs kubectl as its own main does.
func (g *global) kubectl(a []string) error {
	// It reports its errors by ending the process unless told otherwise: its own code, our way out.
	code, text := 0, ""
	kubectl.BehaviorOnFatal(func(msg string, exit int) {
		code, text = exit, strings.TrimSuffix(msg, "\n")
		panic(kubectlEnded{})
	})
	defer kubectl.DefaultBehaviorOnFatal()
	k := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, a...),
		IOStreams:     genericiooptions.IOStreams{In: g.in, Out: g.out, ErrOut: g.err},
	})
	k.SetArgs(a)
	untilEnded(func() { kubectl.CheckErr(cli.RunNoErrOutput(k)) })
	if code == 0 {
		return nil
	}
	if text != "" {
		fmt.Fprintln(g.err, text)
	}
	return codeError{alreadyShown{errors.New(text)}, code}
}

// kubectlEnded unwinds kubectl where it would have ended the process.
type kubectlEnded struct{}

func untilEnded(f func()) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(kubectlEnded); !ok {
				panic(r)
			}
		}
	}()
	f()
}
