package enginetest

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/docker/docker/api/types/network"
)

func (e *Engine) serveNetworks(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case path == "" && r.Method == http.MethodGet:
		list := []network.Inspect{}
		for _, n := range e.Networks {
			if labelled(r, n.Labels) {
				list = append(list, n)
			}
		}
		answer(w, list)
	case path == "/create":
		var body network.CreateRequest
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		e.Calls = append(e.Calls, "create network "+body.Name)
		e.Networks = append(e.Networks, network.Inspect{Name: body.Name, ID: "id-of-" + body.Name, Labels: body.Labels, IPAM: *body.IPAM})
		w.WriteHeader(http.StatusCreated)
		answer(w, map[string]string{"Id": "id-of-" + body.Name})
	case r.Method == http.MethodGet:
		at := slices.IndexFunc(e.Networks, func(n network.Inspect) bool { return "/"+n.Name == path || "/"+n.ID == path })
		if at < 0 {
			fail(w, http.StatusNotFound, "network "+path+" not found")
			return
		}
		answer(w, e.Networks[at])
	default:
		unknown(w, r)
	}
}
