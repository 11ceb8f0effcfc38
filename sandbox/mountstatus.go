package sandbox

import "github.com/dynsandbox/dynsandbox/images"

// mounted reports whether a service is mounted into its new containers, and whether what is has the content of the image
// of that digest.
func (r *ready) mounted(svc images.Service, digest string) (on, stands bool) {
	if r.mounts == nil {
		return false, false
	}
	in, ok := r.mounts.read(svc.Name)
	return ok, ok && in.Image == digest
}
