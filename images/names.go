package images

import "github.com/google/go-containerregistry/pkg/name"

// Normalised is a reference as containerd's CRI writes it: with the registry, and Docker Hub as docker.io
// ("docker.io/dynamos1/agent:main").
func Normalised(tag name.Tag) string { return normalised(tag) }
