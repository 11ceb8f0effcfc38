// Package sandbox is one developer sandbox's life: it brings a platform up from a workspace, keeps it running from
// a session process in the background, tells its status and takes it down again.
//
// A program that wants a sandbox calls [Configure] once (what is it made of?), [Ensure] (a session process, found or
// started), and [Client.Up], which returns when the platform is ready. [Client.Status], [Client.Replay] and
// [Client.Fixtures] ask the session; [Down] stops the sandbox or removes it. The command line, in cmd/dynsandbox, does
// just that and shows it.
//
// Inside, the bring-up is one visible slice of phases (bringup.go), each with a do and, where it can tell that there is nothing to do, a check; plan.go runs them. The
// work itself is done by the packages cluster, images, fixtures and scenarios, which don't know each other: this
// package is where they meet.
//
// It must never touch what isn't the sandbox's own: everything that it makes in the engine carries the sandbox's
// label, and only what carries it is stopped or removed.
package sandbox
