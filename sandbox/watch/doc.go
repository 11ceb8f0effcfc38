// Package watch tells, in batches, which files of a workspace's source folders changed.
//
// Call [Watch] with the workspace's root and the folders that matter, and read batches from its channel until the
// context ends. A batch comes when nothing has changed for a moment ([Config.Quiet]), and at the latest [Config.Cap]
// after its first change. Whoever reads slowly loses nothing: what changes meanwhile joins the batch that waits.
//
// A [Batch] says where to look, not what happened: a file in it may have been created, written, renamed, touched or
// removed, and may hold the same bytes as before. What came and went within a batch, as the temporary file of an
// atomic save does, is not in it.
//
// # What is left out
//
// Hidden folders, __pycache__ and node_modules; what editors keep beside the file that is edited (names.go); what the
// tree's .gitignore files exclude, those above the root included, up to the repository's; what the .dockerignore of a
// folder excludes below it, except the Dockerfile and the .dockerignore themselves; what [Config.Ignore] names. A
// folder that the caller lists is watched whatever these rules say of it. Symbolic links are watched as links: what
// they lead to is not, unless the link is a listed folder. Git's global excludes don't count, and a file that git
// tracks in spite of a rule is left out all the same.
//
// # How it works
//
// The folders' files are held as a snapshot of sizes, times and modes (tree.go). An event only says which name to
// look at again (events.go); the comparison with the snapshot decides. So lost events are mended by comparing
// everything once ([Batch.Rescan]), and where events don't arrive at all the same comparison runs every second: a
// probe at the start and the kind of file system tell (arrival.go). Otherwise nothing runs while nothing happens.
//
// One goroutine owns all of it (loop.go), and the package must never change a file of the workspace.
package watch
