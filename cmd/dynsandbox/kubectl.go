package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
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
kubectl's; name another sandbox before the word: dynsandbox --name other kubectl get pods.`,
		Example: `  dynsandbox kubectl get pods -A
  dynsandbox kubectl logs -n uva deploy/uva -c uva`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, a []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			if _, err := st.Read(); err != nil {
				return err
			}
			if _, err := os.Stat(st.Kubeconfig()); err != nil {
				return errors.Join(sandbox.ErrNoSandbox, err)
			}
			if err := os.Setenv(clientcmd.RecommendedConfigPathEnvVar, st.Kubeconfig()); err != nil {
				return err
			}
			// kubectl reports its errors by ending the process unless told otherwise: its own code, our way out.
			code, text := 0, ""
			kubectl.BehaviorOnFatal(func(msg string, exit int) {
				code, text = exit, msg
				panic(kubectlEnded{})
			})
			defer kubectl.DefaultBehaviorOnFatal()
			k := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
				PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
				Arguments:     append([]string{"kubectl"}, a...),
				IOStreams:     genericiooptions.IOStreams{In: g.in, Out: g.out, ErrOut: g.err},
			})
			k.SetArgs(a)
			err = untilEnded(func() error { return k.ExecuteContext(c.Context()) })
			if code != 0 {
				if text != "" {
					_, _ = g.err.Write([]byte(text + "\n"))
				}
				return codeError{alreadyShown{errors.New(text)}, code}
			}
			return err
		},
	}
}

// kubectlEnded unwinds kubectl where it would have ended the process.
type kubectlEnded struct{}

func untilEnded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(kubectlEnded); !ok {
				panic(r)
			}
		}
	}()
	return f()
}
