package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
)

// configured is a store with the services of SQL requests, and what put adds.
func configured(t *testing.T, put map[string]any) *etcdtest.Memory {
	t.Helper()
	store := etcdtest.New()
	records := map[string]any{
		etcd.RequestTypeKey("sqlDataRequest"): etcd.RequestType{
			Name: "sqlDataRequest", RequiredServices: []string{"sql-query", "sql-algorithm"},
			OptionalServices: map[string]string{"sql-anonymize": "anonymize", "sql-aggregate": "aggregate", "sql-graph": "graph"},
		},
		etcd.MicroserviceKey("sql-query"):     etcd.Microservice{Name: "sql-query", Label: "dataProvider", AllowedOutputs: []string{"sql-aggregate", "sql-algorithm", "sql-anonymize"}},
		etcd.MicroserviceKey("sql-anonymize"): etcd.Microservice{Name: "sql-anonymize", Label: "DataProvider", AllowedOutputs: []string{"sql-aggregate", "sql-algorithm"}},
		etcd.MicroserviceKey("sql-algorithm"): etcd.Microservice{Name: "sql-algorithm", Label: "computeProvider", AllowedOutputs: []string{"sql-graph"}},
		etcd.MicroserviceKey("sql-graph"):     etcd.Microservice{Name: "sql-graph", Label: "computeProvider"},
		etcd.MicroserviceKey("sql-aggregate"): etcd.Microservice{Name: "sql-aggregate", Label: "computeProvider", AllowedOutputs: []string{"sql-algorithm"}},
	}
	for key, record := range put {
		records[key] = record
	}
	for key, record := range records {
		if err := etcd.Put(t.Context(), store, key, record); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestChain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		role    string
		options []string
		want    string
	}{
		{"all", nil, "sql-query sql-algorithm"},
		{"all", []string{"anonymize"}, "sql-query sql-anonymize sql-algorithm"},
		{"ALL", []string{"Aggregate"}, "sql-query sql-aggregate sql-algorithm"},
		{"all", []string{"aggregate", "anonymize"}, "sql-query sql-anonymize sql-aggregate sql-algorithm"},
		{"all", []string{"graph"}, "sql-query sql-algorithm sql-graph"},
		{"dataProvider", nil, "sql-query"},
		{"dataprovider", []string{"anonymize", "aggregate"}, "sql-query sql-anonymize"},
		{"computeProvider", nil, "sql-algorithm"},
		{"computeProvider", []string{"aggregate", "anonymize", "unheard"}, "sql-aggregate sql-algorithm"},
	}
	a := newAgent("UVA", configured(t, nil), nil, nil, nil, images{})
	for _, tt := range tests {
		t.Run(tt.role+" "+strings.Join(tt.options, "+"), func(t *testing.T) {
			t.Parallel()
			options := map[string]bool{"refused": false}
			for _, o := range tt.options {
				options[o] = true
			}
			got, err := a.chain(t.Context(), "sqlDataRequest", tt.role, options)
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("chain = %v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestChainErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, requestType, role string
		put                     map[string]any
		says                    string
	}{
		{"unknown request type", "mlRequest", "all", nil, "mlRequest"},
		{
			"unknown service", "sqlDataRequest", "all",
			map[string]any{etcd.RequestTypeKey("sqlDataRequest"): etcd.RequestType{RequiredServices: []string{"sql-qurey"}}}, "sql-qurey",
		},
		{"no service for the role", "sqlDataRequest", "spectator", nil, "spectator"},
		{
			"cycle", "sqlDataRequest", "all",
			map[string]any{etcd.MicroserviceKey("sql-algorithm"): etcd.Microservice{Name: "sql-algorithm", Label: "computeProvider", AllowedOutputs: []string{"sql-query"}}},
			"cycle",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAgent("UVA", configured(t, tt.put), nil, nil, nil, images{})
			if got, err := a.chain(t.Context(), tt.requestType, tt.role, nil); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("chain = %v, %v, want an error about %s", got, err, tt.says)
			}
		})
	}
}

func TestOrderOfIndependentServices(t *testing.T) {
	t.Parallel()
	services := []etcd.Microservice{
		{Name: "d", AllowedOutputs: []string{"a"}}, {Name: "c"}, {Name: "a"}, {Name: "b", AllowedOutputs: []string{"c", "elsewhere"}},
	}
	for range 20 { // as often as a random order would show itself
		got, err := order(services)
		if want := []string{"d", "a", "b", "c"}; err != nil || !slices.Equal(got, want) {
			t.Fatalf("order = %v, %v, want %v", got, err, want)
		}
	}
}
