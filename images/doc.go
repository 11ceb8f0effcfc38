// Package images turns a workspace's services into container images on a cluster's node, with no registry.
//
// Start with [Discover]: it says which folders of a workspace are services. [Builders.All] builds them: Go services
// with the host's compiler ([GoBuilder]), others from their Dockerfiles with the engine's BuildKit ([DockerfileBuilder]) or
// with a command of their own ([CommandBuilder]), Python services with the BuildKit too and, where only sources were
// changed, without it ([PythonBuilder]). [Load] streams the results into a node, sending only what the node lacks,
// and [LoadAll] into several from one read.
// Images that nobody here builds (the broker, the bases of Dockerfiles) come from [ThirdParty.Resolve]: the engine's
// own, a pulled one, or a stand-in made of Debian packages. [Fingerprint] tells in milliseconds whether there is
// anything to build.
//
// A [Packer] and [LoadBundle] carry images and caches to a machine without a network, and [Builders.Lacks] tells what
// a build offline would miss.
//
// The currency is [v1.Image]. Builders know nothing of nodes, and the loader nothing of builders.
//
// Rules that the package keeps:
//
//   - Layers are uncompressed: a layer's digest is its diffID, and what the node has can be told from both its
//     content and its snapshots.
//   - Layers are read from files when they are sent, never held in memory.
//   - The workspace is only read, but for what a service's own command writes. What has to be changed for a
//     build (a base image that can't be had, pip's settings) is changed in the copy that is sent.
//   - Everything under a Cache folder can be deleted at any time that no build runs; it is made again.
//
// [v1.Image]: https://pkg.go.dev/github.com/google/go-containerregistry/pkg/v1#Image
package images
