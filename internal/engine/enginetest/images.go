package enginetest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

func (e *Engine) serveImages(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case path == "/images/json":
		if !strings.Contains(r.URL.Query().Get("filters"), engine.LabelRole+"=node-image") {
			fail(w, http.StatusBadRequest, "listed without our label: "+r.URL.RawQuery)
			return
		}
		answer(w, e.List)
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/images/"):
		name := strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json")
		if !e.Images[name] {
			fail(w, http.StatusNotFound, "No such image: "+name)
			return
		}
		answer(w, map[string]any{"Id": "sha256:" + name, "Config": map[string]any{}})
	case strings.HasPrefix(path, "/distribution/"):
		name := strings.TrimSuffix(strings.TrimPrefix(path, "/distribution/"), "/json")
		e.Calls = append(e.Calls, "ask "+name)
		if _, ok := e.Registry[name]; !ok {
			fail(w, http.StatusInternalServerError, "no such host")
			return
		}
		answer(w, map[string]any{"Descriptor": map[string]string{"digest": "sha256:" + strings.Repeat("0", 64)}})
	case path == "/images/create":
		name := strings.TrimPrefix(r.URL.Query().Get("fromImage"), "docker.io/") + tagOrDigest(r.URL.Query())
		e.Calls = append(e.Calls, "pull "+name)
		fmt.Fprintln(w, `{"status":"Downloading","id":"a","progressDetail":{"current":5,"total":10}}`)
		if broken := e.Registry[name]; broken != "" {
			answer(w, map[string]string{"error": broken})
			return
		}
		e.Images[name] = true
	case r.Method == http.MethodDelete && strings.HasPrefix(path, "/images/"):
		name := strings.TrimPrefix(path, "/images/")
		if name == e.InUse {
			fail(w, http.StatusConflict, "a container uses it")
			return
		}
		e.Calls = append(e.Calls, "remove "+name)
		answer(w, []map[string]string{{"Untagged": name}})
	default:
		unknown(w, r)
	}
}

// tagOrDigest is what the pull's query says beside the name, as it is written in a reference.
func tagOrDigest(q url.Values) string {
	switch tag := q.Get("tag"); {
	case tag == "":
		return ""
	case strings.Contains(tag, ":"):
		return "@" + tag
	default:
		return ":" + tag
	}
}
