package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

const apiPrefix = "/api/v1"

// routes is the orchestrator's API: the config store's records, readable and replaceable one by one, and /updateEtc,
// which seeds the store again. A replaced agreement holds for the jobs that there are too.
func (o *orchestrator) routes(files fs.FS) http.Handler {
	store := o.store
	mux := http.NewServeMux()
	archetypes := &resource[etcd.Archetype]{
		store: store, prefix: etcd.ArchetypePrefix, key: etcd.ArchetypeKey,
		name: func(a etcd.Archetype) string { return a.Name },
	}
	requestTypes := &resource[etcd.RequestType]{
		store: store, prefix: etcd.RequestTypePrefix, key: etcd.RequestTypeKey,
		name: func(r etcd.RequestType) string { return r.Name },
	}
	microservices := &resource[etcd.Microservice]{
		store: store, prefix: etcd.MicroservicePrefix, key: etcd.MicroserviceKey, suffix: "/chainMetadata",
		name: func(m etcd.Microservice) string { return m.Name },
	}
	agreements := &resource[etcd.Agreement]{
		store: store, prefix: etcd.AgreementPrefix, key: etcd.AgreementKey,
		name: func(a etcd.Agreement) string { return a.Name }, replaced: o.agreementChanged,
	}
	mount(mux, "/archetypes", archetypes)
	mount(mux, "/requestTypes", requestTypes)
	mount(mux, "/requesttypes", requestTypes)
	mount(mux, "/microservices", microservices)
	mount(mux, "/policyEnforcer", agreements)
	mount(mux, "/policyEnforcer/agreements", agreements)

	mux.HandleFunc(apiPrefix+"/updateEtc", func(w http.ResponseWriter, r *http.Request) {
		if err := seed(r.Context(), store, files); err != nil {
			slog.ErrorContext(r.Context(), "config store not seeded", "error", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte("Updated all config"))
	})
	return mux
}

func mount(mux *http.ServeMux, path string, handler http.Handler) {
	handler = http.StripPrefix(apiPrefix+path, handler)
	mux.Handle(apiPrefix+path, handler)
	mux.Handle(apiPrefix+path+"/", handler)
}

// resource serves the records of one type. GET lists them, or shows the one that the rest of the path names; PUT
// stores the body's record under the name in the body, whatever the path says.
type resource[T any] struct {
	store  etcd.Store
	prefix string
	key    func(name string) string
	name   func(T) string
	suffix string // that a path may carry after the name
	// replaced, if set, draws the consequences of a record that was stored.
	replaced func(context.Context, T) error
}

func (res *resource[T]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if name := strings.TrimSuffix(strings.Trim(r.URL.Path, "/"), res.suffix); name != "" {
			res.show(w, r, name)
		} else {
			res.list(w, r)
		}
	case http.MethodPut:
		res.put(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	}
}

func (res *resource[T]) list(w http.ResponseWriter, r *http.Request) {
	records, err := etcd.List[T](r.Context(), res.store, res.prefix)
	if err != nil {
		res.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(records) // fails only when the client is gone
}

func (res *resource[T]) show(w http.ResponseWriter, r *http.Request, name string) {
	value, err := res.store.Get(r.Context(), res.key(name))
	if err != nil {
		res.fail(w, r, err)
		return
	}
	if value == nil {
		http.Error(w, "Not found: "+name, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(value)
}

func (res *resource[T]) put(w http.ResponseWriter, r *http.Request) {
	var record T
	if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
		http.Error(w, "Failed parsing body: "+err.Error(), http.StatusBadRequest)
		return
	}
	name := res.name(record)
	if name == "" {
		http.Error(w, "Bad request: name is missing", http.StatusBadRequest)
		return
	}
	if err := etcd.Put(r.Context(), res.store, res.key(name), record); err != nil {
		res.fail(w, r, err)
		return
	}
	if res.replaced != nil {
		if err := res.replaced(r.Context(), record); err != nil {
			res.fail(w, r, fmt.Errorf("%s is stored, but does not hold everywhere yet: %w", name, err))
			return
		}
	}
	_, _ = w.Write([]byte("OK"))
}

func (res *resource[T]) fail(w http.ResponseWriter, r *http.Request, err error) {
	slog.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	http.Error(w, "Internal server error: "+err.Error(), http.StatusInternalServerError)
}
