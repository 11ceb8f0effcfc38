package watch

import (
	"path/filepath"
	"slices"
)

// LeavesOut reports whether changes of a file are not told, as far as that can be said without a [Config]. rel is its path
// below root, with slashes.
func LeavesOut(root, rel string) bool {
	r := newRules(root, nil)
	folders := parents(rel)
	slices.Reverse(folders) // from the root down: what is in a folder that is left out is so too
	for _, dir := range folders {
		if dir != "." && r.ignored(dir, true) {
			return true
		}
		r.refresh(filepath.Join(root, filepath.FromSlash(dir)), dir, dir != ".")
	}
	return r.ignored(rel, false)
}
