// Package nodeimage finds the image that a sandbox's node runs, and builds one where none can be had.
//
// Start with [Builder.Resolve], which decides between kind's own node image and one that is built here:
//
//	b := &nodeimage.Builder{Cache: dir, Docker: docker, Install: installDebianPackages}
//	choice, err := b.Resolve(ctx, "", false)    // choice.Ref is in the engine now
//
// [Builder.Build] makes the image from Debian packages and Go modules alone, so that it works where no container
// registry can be reached: a Debian root file system, kind's own base files, and every program of the node compiled
// from its Go module at the version in modules/. It takes about 15 minutes on two cores, once: the image's name holds
// the hash of everything that goes in, and each part is kept in the cache folder, so that a build which was killed goes
// on at the first missing part.
//
// The image is neutral: kind's containerd configuration and the kubelet's defaults are as kind ships them. What a
// restricted machine needs comes in through kind's configuration patches, as for a pulled image. It serves single-node
// clusters: the Pod network is configured in it, without the routes that several nodes need between them.
//
// Building needs Linux, root (device nodes, chroot), the go command and a few Debian packages; nothing here calls the
// docker command. What is done to make an image is in order of the files: parts.go is the list of parts, rootfs.go and
// compile.go make them, tree.go puts them together, preload.go adds the Pods' images, load.go hands it to the engine.
package nodeimage
