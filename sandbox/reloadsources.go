package sandbox

import "github.com/dynsandbox/dynsandbox/images"

// sources keeps track of what the images on the node were built from, so that a bring-up after reloads needn't build.
type sources struct {
	state images.Sources  // of which all images were built
	told  map[string]bool // files that were reported as changed since, each of which went into its services
}

func (s *sources) add(files []string) {
	for _, f := range files {
		s.told[f] = true
	}
}

// noteSources notes that all images are those of the sources as they were before the last build. They are when nothing
// waits, and the sources differ from those noted before in nothing but files that were reported: what no watcher
// reports, such as a file that Git ignores, may have changed without its service having been built. everything is true
// when all services were built, so that it doesn't matter.
func (r *reloader) noteSources(state images.Sources, everything bool) {
	if len(r.waiting()) > 0 {
		return
	}
	if !everything {
		changed, ok := state.Changed(r.noted.state)
		if !ok {
			return
		}
		for _, f := range changed {
			if !r.noted.told[f] {
				r.session.log.Info("the next bring-up builds everything again", "changed unseen", f)
				return
			}
		}
	}
	r.noted = sources{state: state, told: map[string]bool{}}
	r.remember(func(rec *Record) { rec.Sources = state.Fingerprint() })
}
