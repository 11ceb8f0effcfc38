// Package scaffold writes new parts into a workspace, and takes them out again: the folder of a service, its place in the
// launch files, its target in the Makefile, and a scenario that runs it.
//
// [AddMicroservice], [AddArchetype], [AddAgent] and [AddThirdParty], and what undoes them, look at a workspace and return
// [Changes], which show themselves as a unified diff ([Changes.Diff]) and are made all or not at all ([Changes.Apply]). Nothing
// is written before that. What a process that was killed left half-done, [Recover] takes back.
//
// Files that exist are edited as text, at the one place that changes: order, indentation and whatever else a person chose
// stay, and removing what was added gives back the bytes of before. What the workspace looks like decides how: which
// folder, which variable of a Makefile, which library a Go service is written for, one line or many for a list, values or
// templates of its own for an agent.
//
// The package knows no sandbox: whether something runs that should know of the changes is its caller's concern.
package scaffold
