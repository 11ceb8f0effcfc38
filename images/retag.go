package images

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Retag gives images on a node further names: by new reference the existing one, both normalised. A name that stood
// for another image moves. Nothing is sent.
func Retag(ctx context.Context, node Node, names map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	targets := map[string][]string{}
	for _, to := range slices.Sorted(maps.Keys(names)) {
		targets[names[to]] = append(targets[names[to]], "'"+to+"'")
	}
	// Side by side: a ctr takes longer to start than to do it.
	var script []string
	for _, from := range slices.Sorted(maps.Keys(targets)) {
		script = append(script, fmt.Sprintf("ctr -n %s images tag --force '%s' %s >/dev/null & all=\"$all $!\"", namespace, from, strings.Join(targets[from], " ")))
	}
	if _, err := node.Exec(ctx, nil, "sh", "-c", strings.Join(append(script, "for p in $all; do wait $p || exit; done"), "\n")); err != nil {
		return fmt.Errorf("name images on the node: %w", err)
	}
	return nil
}

// Untag removes names from a node, those that it has. What neither a name nor a container holds any more is collected.
func Untag(ctx context.Context, node Node, refs ...string) error { return unname(ctx, node, refs) }
