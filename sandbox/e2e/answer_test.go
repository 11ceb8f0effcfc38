package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// The answers of the platform, against the CSV files: read, joined and averaged here, by nothing that the platform
// uses.

type salaries struct{ sum, count map[string]float64 }

// joined reads a party's two tables and joins them on Unieknr, as the query does.
func (s salaries) joined(t *testing.T, party string) {
	t.Helper()
	gender := map[string][]string{}
	for _, row := range table(t, "Personen_"+party) {
		gender[row["Unieknr"]] = append(gender[row["Unieknr"]], row["Geslacht"])
	}
	for _, row := range table(t, "Aanstellingen_"+party) {
		scale, err := strconv.ParseFloat(row["Salschal"], 64)
		if err != nil {
			t.Fatalf("%s: Salschal %q", party, row["Salschal"])
		}
		for _, g := range gender[row["Unieknr"]] {
			s.sum[g] += scale
			s.count[g]++
		}
	}
}

func table(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "platform", "python", "sql-query", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = ';'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for i, column := range rows[0] {
			m[column] = row[i]
		}
		out = append(out, m)
	}
	return out
}

const joinQuery = "SELECT p.Geslacht, s.Salschal FROM Personen p JOIN Aanstellingen s ON p.Unieknr = s.Unieknr"

// README's request by hand is answered.
func TestReadmeRequest(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)curl -s localhost:8080(\S+) .*? -d '(.*?)'`).FindSubmatch(readme)
	if found == nil {
		t.Fatal("README has no request")
	}
	res, err := http.Post(gatewayURL(t)+string(found[1]), "application/json", bytes.NewReader(found[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Responses []string }
	if err := json.Unmarshal(body, &answer); err != nil || res.StatusCode != http.StatusOK || len(answer.Responses) != 1 {
		t.Errorf("%d: %s", res.StatusCode, body)
	}
}

// ask sends a request through the gateway and returns the parsed responses.
func ask(t *testing.T, userID string, providers []string, options map[string]bool) []map[string]string {
	t.Helper()
	status, body := post(t, userID, providers, options)
	if status != http.StatusOK {
		t.Fatalf("the gateway answers %d: %s", status, body)
	}
	var answer struct {
		JobID     string `json:"jobId"`
		Responses []string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	if answer.JobID == "" {
		t.Errorf("no job id: %s", body)
	}
	var out []map[string]string
	for _, r := range answer.Responses {
		m := map[string]string{}
		if err := json.Unmarshal([]byte(r), &m); err != nil {
			t.Fatalf("response %q: %v", r, err)
		}
		out = append(out, m)
	}
	return out
}

func post(t *testing.T, userID string, providers []string, options map[string]bool) (status int, body []byte) {
	t.Helper()
	return postQuery(t, userID, joinQuery, "average", providers, options)
}

func postQuery(t *testing.T, userID, query, algorithm string, providers []string, options map[string]bool) (status int, body []byte) {
	t.Helper()
	data := map[string]any{"type": "sqlDataRequest", "query": query, "algorithm": algorithm, "options": options}
	return postRequest(t, userID, data, providers)
}

// postRequest sends a data request of any type.
func postRequest(t *testing.T, userID string, data map[string]any, providers []string) (status int, body []byte) {
	t.Helper()
	data["requestMetadata"] = map[string]any{}
	request, err := json.Marshal(map[string]any{
		"type":          data["type"],
		"user":          map[string]string{"id": userID, "userName": "jorrit.stutterheim@cloudnation.nl"},
		"dataProviders": providers,
		"data_request":  data,
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(gatewayURL(t)+"/api/v1/requestApproval", "application/json", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

func gatewayURL(t *testing.T) string {
	t.Helper()
	var env map[string]string
	mustJSON(t, &env, "env")
	return env["DYNSANDBOX_URL"]
}

func (s salaries) check(t *testing.T, got map[string]string) {
	t.Helper()
	if wrong := s.differs(got); wrong != "" {
		t.Error(wrong)
	}
}

// differs says what of an answer is wrong; "" if nothing is.
func (s salaries) differs(got map[string]string) string {
	for key, g := range map[string]string{"avg_salary_scale_men": "M", "avg_salary_scale_women": "V"} {
		want := s.sum[g] / s.count[g]
		value, err := strconv.ParseFloat(got[key], 64)
		if err != nil || math.Abs(value-want) > 0.0006 { // answers have three decimals
			return fmt.Sprintf("%s: got %q, want %.4f (from %v rows)", key, got[key], want, s.count[g])
		}
	}
	return ""
}

func newSalaries() salaries { return salaries{map[string]float64{}, map[string]float64{}} }

func TestComputeToDataAnswer(t *testing.T) {
	for _, party := range []string{"UVA", "VU"} {
		want := newSalaries()
		want.joined(t, party)
		got := ask(t, "answer-"+party, []string{party}, map[string]bool{"aggregate": false})
		if len(got) != 1 {
			t.Fatalf("%s: %d responses", party, len(got))
		}
		want.check(t, got[0])
	}
}

func TestDataThroughTTPAnswer(t *testing.T) {
	want := newSalaries()
	want.joined(t, "UVA")
	want.joined(t, "VU")
	got := ask(t, "answer-ttp", []string{"VU", "UVA"}, map[string]bool{"aggregate": true})
	if len(got) != 1 {
		t.Fatalf("%d responses, want one for both", len(got))
	}
	want.check(t, got[0])
}

// One user's requests at the same time: each gets its own answer.
func TestManyAtOnce(t *testing.T) {
	const n = 4
	type answer struct {
		party string
		got   []map[string]string
	}
	answers := make(chan answer, n)
	t.Run("requests", func(t *testing.T) {
		for i := range n {
			party := []string{"UVA", "VU"}[i%2]
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				answers <- answer{party, ask(t, "one-user", []string{party}, map[string]bool{"aggregate": false})}
			})
		}
	})
	close(answers)
	for a := range answers {
		want := newSalaries()
		want.joined(t, a.party)
		if len(a.got) != 1 {
			t.Fatalf("%s: %d responses", a.party, len(a.got))
		}
		want.check(t, a.got[0])
	}
}

// An unknown provider is told at once, and poisons nothing.
func TestUnknownProvider(t *testing.T) {
	status, body := post(t, "unknown", []string{"NOBODY"}, nil)
	if status == http.StatusOK || len(bytes.TrimSpace(body)) == 0 {
		t.Errorf("a request to an unknown provider: %d %q", status, body)
	}
	got := ask(t, "unknown", []string{"UVA", "NOBODY"}, map[string]bool{"aggregate": false})
	if len(got) != 1 {
		t.Errorf("an unknown provider beside a known one: %d responses", len(got))
	}
}
