package enginetest

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
)

// Container returns a container in that state ("running", "exited", "paused", "created"), which is also its ID.
func Container(name, state string, labels map[string]string) container.InspectResponse {
	s := &container.State{Status: container.ContainerState(state), Running: state == "running" || state == "paused", Paused: state == "paused", StartedAt: "2026-01-01T00:00:00Z"}
	if state == "created" {
		s.StartedAt = "0001-01-01T00:00:00Z"
	}
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: name, Name: "/" + name, Created: time.Now().UTC().Format(time.RFC3339Nano), State: s},
		Config:            &container.Config{Labels: labels},
		NetworkSettings:   &container.NetworkSettings{},
	}
}

func (e *Engine) serveContainers(w http.ResponseWriter, r *http.Request, path string) {
	id, what, _ := strings.Cut(path, "/")
	switch path {
	case "json":
		list := []container.Summary{}
		for _, c := range e.Containers {
			if labelled(r, c.Config.Labels) {
				made, _ := time.Parse(time.RFC3339Nano, c.Created)
				list = append(list, container.Summary{ID: c.ID, Names: []string{c.Name}, Labels: c.Config.Labels, State: c.State.Status, Created: made.Unix(),
					NetworkSettings: &container.NetworkSettingsSummary{Networks: c.NetworkSettings.Networks}})
			}
		}
		answer(w, list)
		return
	case "create":
		var body container.CreateRequest
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
		name := r.URL.Query().Get("name")
		if name == "" {
			name = fmt.Sprintf("c%d", len(e.Containers)+1)
		}
		e.Containers = append(e.Containers, Container(name, "created", body.Config.Labels))
		w.WriteHeader(http.StatusCreated)
		answer(w, map[string]string{"Id": name})
		return
	}
	at := slices.IndexFunc(e.Containers, func(c container.InspectResponse) bool { return c.ID == id })
	if at < 0 {
		fail(w, http.StatusNotFound, "No such container: "+id)
		return
	}
	state := e.Containers[at].State
	switch {
	case r.Method == http.MethodDelete:
		e.Calls = append(e.Calls, "remove "+id)
		e.Containers = slices.Delete(e.Containers, at, at+1)
		w.WriteHeader(http.StatusNoContent)
	case what == "json":
		answer(w, e.Containers[at])
	case what == "start" && state.Paused:
		fail(w, http.StatusConflict, "cannot start a paused container, try unpause instead")
	case what == "start" || what == "unpause":
		e.Calls = append(e.Calls, what+" "+id)
		state.Status, state.Running, state.Paused = container.StateRunning, true, false
		w.WriteHeader(http.StatusNoContent)
	case what == "archive":
		w.Header().Set("X-Docker-Container-Path-Stat", "e30=") // {}
		files := tar.NewWriter(w)
		files.WriteHeader(&tar.Header{Name: "version", Size: int64(len(e.Version)), Mode: 0o644})
		files.Write([]byte(e.Version))
		files.Close()
	case what == "logs":
	case what == "exec":
		e.createExec(w, r)
	default:
		unknown(w, r)
	}
}
