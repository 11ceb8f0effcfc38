package sandbox

import (
	"strconv"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// newRolls divides what was built into sets that can succeed or fail by themselves: services that share a workload, such
// as a main container and its sidecar, go together. Each workload that has a changed image restarts, with all of its
// containers whose images are the workspace's.
func newRolls(r *reloader, nodes images.Nodes, built []images.Built, record Record) []*roll {
	id := strconv.FormatInt(time.Now().UnixMilli(), 36)
	workloads := ourWorkloads(r.bring.workspace)
	var rolls []*roll
	for _, b := range built {
		o := &roll{r: r, nodes: nodes, id: id, before: record, changed: map[string]images.Service{}}
		o.take(b)
		rolls = append(rolls, o)
	}
	for _, w := range workloads {
		var into *roll
		rest := rolls[:0:0]
		for _, o := range rolls {
			switch {
			case !o.concerns(w):
				rest = append(rest, o)
			case into == nil:
				into = o
				rest = append(rest, o)
			default:
				into.workloads = append(into.workloads, o.workloads...)
				for _, b := range o.built {
					into.take(b)
				}
			}
		}
		if into != nil {
			into.workloads = append(into.workloads, w)
		}
		rolls = rest
	}
	return rolls
}

func (o *roll) take(b images.Built) {
	o.built = append(o.built, b)
	for _, ref := range b.Service.Refs {
		o.changed[images.Normalised(ref)] = b.Service
	}
}

// concerns reports whether a workload has an image that changed.
func (o *roll) concerns(w rolled) bool {
	for _, ref := range w.containers {
		if _, ok := o.changed[ref]; ok {
			return true
		}
	}
	return false
}

// ourWorkloads are those of a workspace's workloads that run its services.
func ourWorkloads(in *workspace) []rolled {
	ours := map[string]bool{}
	for _, s := range in.found.Services {
		for _, ref := range s.Refs {
			ours[images.Normalised(ref)] = true
		}
	}
	var out []rolled
	for _, object := range in.rendered.Objects {
		if !cluster.IsWorkload(object) {
			continue
		}
		w := rolled{object, map[string]string{}}
		for _, container := range containersOf(object) {
			image, _ := container["image"].(string)
			if ref := normalised(image); ours[ref] {
				named, _ := container["name"].(string)
				w.containers[named] = ref
			}
		}
		if len(w.containers) > 0 {
			out = append(out, w)
		}
	}
	return out
}
