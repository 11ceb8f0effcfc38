package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// toldAnnotation is on Pods that the API server has changed for this.
const toldAnnotation = "dev.dynsandbox/sensitive"

// A service that reads data sets is told what is sensitive in a Pod of whoever makes one, as the original's agent does,
// which knows of no sensitive columns.
func TestSensitiveColumnsAreTold(t *testing.T) {
	pod := admitted(t, "uva", chainService("sql-query"), chainService("sql-anonymize"), chainService("sidecar"))
	first := pod.Spec.Containers[0]
	var datasets []struct {
		Columns map[string][]string `json:"sensitive_columns"`
	}
	if err := json.Unmarshal([]byte(value(first, "DATASETS")), &datasets); err != nil {
		t.Fatalf("%v: %+v", err, first.Env)
	}
	want := map[string][]string{"Personen": {"Gebdat"}, "Aanstellingen": {"Ingdatdv"}}
	if len(datasets) != 1 || !reflect.DeepEqual(datasets[0].Columns, want) {
		t.Errorf("sensitive: %+v", datasets)
	}
	if got := value(first, "ANONYMIZED_COLUMNS"); got != `["Gebdat","Ingdatdv"]` {
		t.Errorf("anonymised by a later service: %s", got)
	}
	for _, c := range pod.Spec.Containers[1:] {
		if value(c, "DATASETS") != "" {
			t.Errorf("%s reads no data sets, and is told", c.Name)
		}
	}

	// An earlier service makes nothing anonymous that a later one reads.
	pod = admitted(t, "uva", chainService("sql-anonymize"), chainService("sql-query", corev1.EnvVar{Name: "FIRST", Value: "0"}))
	if c := pod.Spec.Containers[1]; value(c, "ANONYMIZED_COLUMNS") != "[]" || value(c, "FIRST") != "0" {
		t.Errorf("after the one that anonymises: %+v", c.Env)
	}

	// What was lost on the way through the config store is put right.
	lost := corev1.EnvVar{Name: "DATASETS", Value: `[{"name":"wageGap"}]`}
	pod = admitted(t, "uva", chainService("sql-query", lost))
	if got := value(pod.Spec.Containers[0], "DATASETS"); got != value(first, "DATASETS") {
		t.Errorf("told less than there is, it stays so: %s", got)
	}

	for name, pod := range map[string]*corev1.Pod{
		"told by its agent":  admitted(t, "uva", chainService("sql-query", corev1.EnvVar{Name: "DATASETS", Value: value(first, "DATASETS")})),
		"no party's":         admitted(t, "orchestrator", chainService("sql-query")),
		"reads no data sets": admitted(t, "uva", chainService("sql-algorithm")),
	} {
		if pod.Annotations[toldAnnotation] != "" {
			t.Errorf("%s: changed to %s", name, fmt.Sprint(pod.Spec.Containers[0].Env))
		}
	}
}

// What is told is what the launch files say now: those of the workspace, and others that were applied.
func TestSensitiveColumnsAreToldAnew(t *testing.T) {
	const file = "configuration/etcd_launch_files/datasets.json"
	check := func(want string) {
		t.Helper()
		pod := admitted(t, "uva", chainService("sql-query"))
		if got := value(pod.Spec.Containers[0], "DATASETS"); !strings.Contains(got, want) {
			t.Errorf("told %s, want %s in it", got, want)
		}
	}
	check(`"Personen":["Gebdat"]`)
	dir := changedFiles(t, "datasets.json", `["Gebdat"]`, `["Gebdat", "BKO"]`)
	must(t, "fixtures", "apply", dir)
	check(`"Personen":["Gebdat","BKO"]`)
	must(t, "fixtures", "apply")
	check(`"Personen":["Gebdat"]`)
	edit(t, change{file, `["Gebdat"]`, `["Gebdat", "SKO"]`})
	must(t, "wait", "--for=reloaded")
	check(`"Personen":["Gebdat","SKO"]`)
}

// The reference platform's agents tell it themselves, in the same words: the API server has nothing to do for their Pods.
func TestAgentsTellWhatIsSensitive(t *testing.T) {
	ask(t, "told", []string{"UVA"}, nil)
	var pods corev1.PodList
	if err := json.Unmarshal([]byte(kubectl(t, "", "get", "pods", "-n", "uva", "-o", "json")), &pods); err != nil {
		t.Fatal(err)
	}
	chains := 0
	for _, pod := range pods.Items {
		if pod.Spec.Containers[0].Name != "sql-query" {
			continue
		}
		chains++
		if value(pod.Spec.Containers[0], "DATASETS") == "" || pod.Annotations[toldAnnotation] != "" {
			t.Errorf("%s: %s %+v", pod.Name, pod.Annotations, pod.Spec.Containers[0].Env)
		}
	}
	if chains == 0 {
		t.Error("no Pod of a chain is there to look at")
	}
}

// admitted is a Pod as the API server would make it.
func admitted(t *testing.T, namespace string, containers ...corev1.Container) *corev1.Pod {
	t.Helper()
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "chain", Namespace: namespace},
		Spec:       corev1.PodSpec{Containers: containers},
	}
	b, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	out := kubectl(t, string(b), "create", "--dry-run=server", "-o", "json", "-f", "-")
	var got corev1.Pod
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &got); err != nil { // warnings come before it
		t.Fatalf("%v\n%s", err, out)
	}
	return &got
}

func chainService(name string, env ...corev1.EnvVar) corev1.Container {
	return corev1.Container{Name: name, Image: "dynamos1/" + name + ":main", Env: env}
}

// value is what a container sees of a variable: the last of its name counts.
func value(c corev1.Container, name string) string {
	found := ""
	for _, e := range c.Env {
		if e.Name == name {
			found = e.Value
		}
	}
	return found
}
