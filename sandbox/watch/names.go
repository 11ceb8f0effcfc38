package watch

import (
	"strconv"
	"strings"
)

// hiddenFolder reports whether a folder of this name holds no sources: a tool's own state, or what it made.
func hiddenFolder(name string) bool {
	return strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules"
}

// Names of the files that editors make beside the one that is edited: swap files, locks, backups and the temporary
// half of an atomic save. (Its other half, the rename to the real name, is seen as a change of that name.)
var (
	editorPrefixes = []string{
		".#",              // Emacs, lock
		".~lock.",         // LibreOffice, lock
		".goutputstream-", // GNOME's editors, atomic save
		".fuse_hidden",    // a file that was removed while open, on FUSE
		".nfs",            // the same on NFS
	}
	editorSuffixes = []string{
		"~",                                            // backups of vim, Emacs, gedit, Kate
		".tmp",                                         // atomic saves of many
		".swp",                                         // vim
		".kate-swp",                                    // Kate
		".vsctmp",                                      // VS Code, atomic save
		"___jb_tmp___", "___jb_old___", "___jb_bak___", // JetBrains, "safe write"
		"-go-tmp-umask", // the go command, for a moment
	}
)

// editorFile reports whether a file of this name is an editor's own.
func editorFile(name string) bool {
	for _, p := range editorPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	for _, s := range editorSuffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	switch {
	case len(name) > 1 && name[0] == '#' && name[len(name)-1] == '#': // Emacs, auto-save
		return true
	case len(name) > 5 && name[0] == '.' && strings.HasPrefix(name[len(name)-4:], ".sw"):
		// vim goes from .swp to .swo, .swn and so on when the name is taken. Only behind a dot: there are .swf and .swg
		// files.
		return true
	case name == ".DS_Store":
		return true
	}
	// vim tests whether it may create files by creating 4913; when that is taken it goes on in steps of 123.
	n, err := strconv.Atoi(name)
	return err == nil && n >= 4913 && (n-4913)%123 == 0
}
