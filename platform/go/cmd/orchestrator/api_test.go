package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
)

// ownLaunchFiles are those of the workspace that this module belongs to.
const ownLaunchFiles = "../../../configuration/etcd_launch_files"

func TestSeedOwnLaunchFiles(t *testing.T) {
	t.Parallel()
	store := etcdtest.New()
	if err := seed(t.Context(), store, os.DirFS(ownLaunchFiles)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"/requestTypes/sqlDataRequest": `{"name":"sqlDataRequest","requiredServices":["sql-query","sql-algorithm"],` +
			`"optionalServices":{"sql-aggregate":"aggregate","sql-anonymize":"anonymize"}}`,
		"/archetypes/computeToData":                  `{"name":"computeToData","computeProvider":"dataProvider","resultRecipient":"requestor","weight":100}`,
		"/microservices/sql-aggregate/chainMetadata": `{"name":"sql-aggregate","label":"computeProvider","allowedOutputs":["sql-algorithm"]}`,
		"/datasets/wageGap": `{"name":"wageGap","type":"csv","delimiter":";","tables":["Aanstellingen","Personen"],` +
			`"sensitive_columns":{"Aanstellingen":["Ingdatdv"],"Personen":["Gebdat"]}}`,
		"/agents/UVA/requestType/sqlDataRequest/sql-anonymize ": `sql-anonymize`,
	}
	for key, value := range want {
		if got, _ := store.Get(t.Context(), key); string(got) != value {
			t.Errorf("%q:\n got %s\nwant %s", key, got, value)
		}
	}
	all, _ := store.List(t.Context(), "/")
	if len(all) != 11 {
		t.Errorf("%d keys written, want 11", len(all))
	}
}

func TestSeedWaitsForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := etcdtest.New()
		store.Fail(errors.New("connection refused"))
		seeded := make(chan error, 1)
		go func() { seeded <- seedWhenThere(t.Context(), store, os.DirFS(ownLaunchFiles)) }()
		time.Sleep(time.Hour) // of the bubble
		if len(seeded) != 0 {
			t.Fatalf("seed = %v while the store is away, want it to wait", <-seeded)
		}
		store.Fail(nil)
		if err := <-seeded; err != nil {
			t.Fatal(err)
		}
		if all, _ := store.List(t.Context(), "/"); len(all) == 0 {
			t.Error("nothing was written")
		}
	})
}

func TestSeedWritesNothingOfBrokenFiles(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{}
	for _, name := range []string{"requestType", "archetype", "microservices", "agreements", "datasets", "optional_microservices"} {
		files[name+".json"] = &fstest.MapFile{Data: []byte("[]")}
	}
	files["archetype.json"].Data = []byte(`[{"name": "a", "weight": 1}]`)
	files["agreements.json"].Data = []byte(`[{"name": 1}]`)
	delete(files, "datasets.json")
	store := etcdtest.New()
	err := seedWhenThere(t.Context(), store, files)
	if err == nil || !strings.Contains(err.Error(), "agreements.json") || !strings.Contains(err.Error(), "datasets.json") {
		t.Errorf("seed = %v, want both broken files named", err)
	}
	if all, _ := store.List(t.Context(), "/"); len(all) != 0 {
		t.Errorf("%d keys written in spite of broken files", len(all))
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	store := etcdtest.New()
	api := (&orchestrator{store: store}).routes(os.DirFS(ownLaunchFiles))
	tests := []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/api/v1/archetypes", "", 200, "[]"},
		{"GET", "/api/v1/updateEtc", "", 200, "Updated all config"},
		{"GET", "/api/v1/archetypes", "", 200, `"weight":100`},
		{"GET", "/api/v1/archetypes/computeToData", "", 200, `{"name":"computeToData"`},
		{"GET", "/api/v1/archetypes/nothing", "", 404, "nothing"},
		{"PUT", "/api/v1/archetypes/agreements", `{"name":"computeToData","computeProvider":"dataProvider","resultRecipient":"requestor","weight":300}`, 200, "OK"},
		{"GET", "/api/v1/archetypes/computeToData", "", 200, `"weight":300`},
		{"PUT", "/api/v1/archetypes", `{"weight":1}`, 400, "Bad request"},
		{"PUT", "/api/v1/archetypes", `{`, 400, "Failed parsing body"},
		{"POST", "/api/v1/archetypes", `{}`, 405, "Method not allowed"},
		{"DELETE", "/api/v1/policyEnforcer/agreements/UVA", ``, 405, ""},
		{"GET", "/api/v1/requestTypes/sqlDataRequest", "", 200, "sql-algorithm"},
		{"GET", "/api/v1/requesttypes/sqlDataRequest", "", 200, "sql-algorithm"},
		{"GET", "/api/v1/microservices", "", 200, "allowedOutputs"},
		{"GET", "/api/v1/microservices/sql-query/chainMetadata", "", 200, `"label":"dataProvider"`},
		{"GET", "/api/v1/microservices/sql-query", "", 200, `"label":"dataProvider"`},
		{"PUT", "/api/v1/microservices", `{"name":"new","label":"dataProvider"}`, 200, "OK"},
		{"GET", "/api/v1/microservices/new/chainMetadata", "", 200, `"new"`},
		{"GET", "/api/v1/policyEnforcer", "", 200, `"VU"`},
		{"GET", "/api/v1/policyEnforcer/agreements", "", 200, `"VU"`},
		{"GET", "/api/v1/policyEnforcer/agreements/UVA", "", 200, "analyst@example.org"},
		{"PUT", "/api/v1/policyEnforcer", `{"name":"RUG","relations":{}}`, 200, "OK"},
		{"GET", "/api/v1/policyEnforcer/agreements/RUG", "", 200, `{"name":"RUG","relations":{},"computeProviders":null,"archetypes":null}`},
		{"GET", "/api/v1/elsewhere", "", 404, ""},
	}
	for _, tt := range tests { // in order: later ones see what earlier ones stored
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%s %s = %d %q, want %d with %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.contains)
		}
	}
}

func TestUpdateEtcReportsBrokenFiles(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	(&orchestrator{store: etcdtest.New()}).routes(fstest.MapFS{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/updateEtc", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "archetype.json") {
		t.Errorf("updateEtc = %d %q, want 500 and the missing files", w.Code, w.Body)
	}
}
