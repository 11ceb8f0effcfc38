// Package pyenv is about the Python packages of a workspace's services, on this machine: environments in which a service
// runs and is tested as it would be in its image, and whether what the services ask for goes together.
//
// [Plan] tells what an environment consists of, [Environment.Make] makes it, unless it is as it should be. [Drift] finds the
// requirements that no version of a package can meet together with the workspace's Python library and the code that was
// generated for it; it reads files and nothing else.
//
// The package knows no sandbox, and nothing of it is a part of any image.
package pyenv
