package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

// launchFile turns the content of one launch file, a JSON array, into what the store holds of it.
type launchFile struct {
	name    string
	entries func(content []byte) ([]etcd.Entry, error)
}

// All launch files; each has to exist.
var allLaunchFiles = []launchFile{
	{"requestType.json", records(func(r etcd.RequestType) string { return etcd.RequestTypeKey(r.Name) })},
	{"archetype.json", records(func(a etcd.Archetype) string { return etcd.ArchetypeKey(a.Name) })},
	{"microservices.json", records(func(m etcd.Microservice) string { return etcd.MicroserviceKey(m.Name) })},
	{"agreements.json", records(func(a etcd.Agreement) string { return etcd.AgreementKey(a.Name) })},
	{"datasets.json", records(func(d etcd.Dataset) string { return etcd.DatasetKey(d.Name) })},
	{"optional_microservices.json", optionalServices},
}

// seed writes the launch files into the store. All are read before the first is written, so that a broken one
// changes nothing. Keys of entries that the files no longer have stay.
func seed(ctx context.Context, store etcd.Store, files fs.FS) error {
	entries, err := readLaunchFiles(files)
	if err != nil {
		return err
	}
	return write(ctx, store, entries)
}

// seedPause is the time between attempts to write to a store that is away.
const seedPause = time.Second

// seedWhenThere is seed for a store that may come up later than the orchestrator. It waits for the store until ctx
// ends; only broken files are an error before.
func seedWhenThere(ctx context.Context, store etcd.Store, files fs.FS) error {
	entries, err := readLaunchFiles(files)
	if err != nil {
		return err
	}
	for {
		err := write(ctx, store, entries)
		if err == nil {
			return nil
		}
		slog.WarnContext(ctx, "config store not seeded, trying again", "error", err)
		select {
		case <-time.After(seedPause):
		case <-ctx.Done():
			return err
		}
	}
}

func write(ctx context.Context, store etcd.Store, entries []etcd.Entry) error {
	if err := store.Put(ctx, entries...); err != nil {
		return err
	}
	slog.InfoContext(ctx, "config store seeded", "keys", len(entries))
	return nil
}

func readLaunchFiles(files fs.FS) ([]etcd.Entry, error) {
	var entries []etcd.Entry
	var problems []error
	for _, file := range allLaunchFiles {
		content, err := fs.ReadFile(files, file.name)
		if err != nil {
			problems = append(problems, fmt.Errorf("read launch file: %w", err))
			continue
		}
		of, err := file.entries(content)
		if err != nil {
			problems = append(problems, fmt.Errorf("launch file %s: %w", file.name, err))
			continue
		}
		entries = append(entries, of...)
	}
	return entries, errors.Join(problems...)
}

// records reads elements of one record type. What the type has no field for is dropped.
func records[T any](key func(T) string) func([]byte) ([]etcd.Entry, error) {
	return func(content []byte) ([]etcd.Entry, error) {
		var list []T
		if err := json.Unmarshal(content, &list); err != nil {
			return nil, err
		}
		entries := make([]etcd.Entry, len(list))
		for i, record := range list {
			value, err := json.Marshal(record)
			if err != nil {
				return nil, err
			}
			entries[i] = etcd.Entry{Key: key(record), Value: value}
		}
		return unique(entries), nil
	}
}

// unique keeps the last of several entries with one key; the store refuses a key twice in a transaction.
func unique(entries []etcd.Entry) []etcd.Entry {
	last := map[string][]byte{}
	for _, e := range entries {
		last[e.Key] = e.Value
	}
	var kept []etcd.Entry
	for _, key := range slices.Sorted(maps.Keys(last)) {
		kept = append(kept, etcd.Entry{Key: key, Value: last[key]})
	}
	return kept
}

// optionalServices reads which services stewards offer beyond those required: plain names, one key each.
func optionalServices(content []byte) ([]etcd.Entry, error) {
	var list []struct {
		Steward string              `json:"data_steward"`
		Types   map[string][]string `json:"types"`
	}
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, err
	}
	var entries []etcd.Entry
	for _, offer := range list {
		for requestType, services := range offer.Types {
			for _, service := range services {
				key := etcd.OptionalServiceKey(offer.Steward, requestType, service)
				entries = append(entries, etcd.Entry{Key: key, Value: []byte(service)})
			}
		}
	}
	return unique(entries), nil
}
