package scaffold

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"text/template"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// Services whose part in a chain is known: the one that reads tables, and the one that makes an answer of rows.
const (
	reader = "sql-query"
	answer = "sql-algorithm"
)

var scenarioTemplate = template.Must(template.New("scenario").Funcs(template.FuncMap{"yaml": yamlText}).Parse(
	`version: 1
name: {{yaml .Name}}
description: {{.About}}
request:
  type: {{yaml .RequestType}}
  user: {id: {{yaml .ID}}, userName: {{yaml .User}}}
  dataProviders: [{{yaml .Provider}}{{if .Second}}, {{yaml .Second}}{{end}}]
  data_request:
    type: {{yaml .RequestType}}
{{- if .Query}}
    query: {{.Query}}
{{- end}}
    options: { {{- if .Option}}{{yaml .Option}}: true{{end -}} }
    requestMetadata: {}
expect:
{{- if .Column}}
  responses:
    # {{.Why}}
    - table: {contains: [{ {{- yaml .Column}}: {{yaml .Value}}}]}
{{- else}}
  count: {{.Count}} # none may be empty
{{- end}}
`))

// scenario makes the file with a request that runs the service.
func (w Workspace) scenario(set *fixtures.Set, name, requestType, option string) (Changes, error) {
	who, err := w.requester(set, requestType)
	if err != nil {
		return nil, err
	}
	kind := set.RequestTypes[slices.IndexFunc(set.RequestTypes, func(r fixtures.RequestType) bool { return r.Name == requestType })]
	who.Name, who.RequestType, who.Option = name, requestType, option
	if who.Query != "" && slices.Contains(kind.RequiredServices, reader) && slices.Contains(kind.RequiredServices, answer) &&
		passes(set, reader, name) && passes(set, name, answer) {
		who.Column, who.Value, who.Why = name, "seen", "The column that the service adds: only rows that came through it have one."
	}
	who.About, who.Count = "one request whose chain has "+name+" in it", 1
	return w.fillScenario(who)
}

func (w Workspace) fillScenario(who requester) (Changes, error) {
	var b bytes.Buffer
	if err := scenarioTemplate.Execute(&b, who); err != nil {
		return nil, err
	}
	return Changes{{Path: w.scenarioFile(who.Name), After: b.Bytes()}}, nil
}

func (w Workspace) scenarioFile(name string) string { return path.Join(w.Scenarios, name+".yaml") }

// requester is somebody who may ask for a request type, what for, and what must come back.
type requester struct {
	Name, About               string // of the scenario
	RequestType, Option       string
	ID, User, Provider, Query string
	Second                    string // data provider
	Column, Value, Why        string // of a cell that tells that the answer is the right one; none: any answer will do
	Count                     int    // of responses
}

// requester finds the first data provider that is there, and the first user of theirs who may send the request type.
func (w Workspace) requester(set *fixtures.Set, requestType string) (requester, error) {
	for _, a := range set.Agreements {
		if w.Agents != nil && !slices.Contains(w.Agents, a.Name) {
			continue
		}
		for _, user := range sortedKeys(a.Relations) {
			r := a.Relations[user]
			archetype := slices.ContainsFunc(r.AllowedArchetypes, func(n string) bool { return slices.Contains(a.Archetypes, n) })
			if slices.Contains(r.RequestTypes, requestType) && archetype {
				return requester{ID: cmp.Or(r.ID, "1"), User: user, Provider: a.Name, Query: query(set, r.DataSets)}, nil
			}
		}
	}
	return requester{}, wrong("", "no agreement lets anybody send %q, so no scenario could run the service", requestType)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// query asks for some rows of the first table of the data sets. Of a table with sensitive columns, not all may be read.
func query(set *fixtures.Set, dataSets []string) string {
	for _, d := range set.Datasets {
		if slices.Contains(dataSets, d.Name) && len(d.Tables) > 0 {
			columns := "*"
			if len(d.SensitiveColumns[d.Tables[0]]) > 0 {
				columns = "1 AS example"
			}
			return fmt.Sprintf("SELECT %s FROM %s LIMIT 10", columns, d.Tables[0])
		}
	}
	return ""
}

// checkScenarioFree refuses a name that a scenario has.
func (w Workspace) checkScenarioFree(name string) error {
	if _, err := os.Lstat(filepath.Join(w.Dir, w.scenarioFile(name))); !errors.Is(err, fs.ErrNotExist) {
		return wrong("", "%s is there already", w.scenarioFile(name))
	}
	have, err := scenarios.ParseDir(os.DirFS(w.Dir), w.Scenarios)
	if err != nil {
		return err
	}
	for _, s := range have {
		if s.Name == name {
			return wrong("", "%s has a scenario %q already", s.File, name)
		}
	}
	return nil
}

// plain is a text that YAML takes for nothing else.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./@+-]*$`)

// yamlText writes a text as YAML does: JSON's strings are some, too.
func yamlText(text string) string {
	if plain.MatchString(text) && !slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, text) {
		return text
	}
	return quote(text)
}
