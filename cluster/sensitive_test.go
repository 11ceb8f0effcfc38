package cluster

import (
	"strings"
	"testing"
)

func TestSensitivePolicy(t *testing.T) {
	t.Parallel()
	s := Sensitive{
		Datasets:    `[{"name":"survey","sensitive_columns":{"Answers":["born"]}}]`,
		Namespaces:  []string{"north", "south"},
		Readers:     []string{"docker.io/dynamos1/read:main"},
		Anonymizers: map[string][]string{"docker.io/dynamos1/blur:main": {"born", `a "name"`}, "docker.io/dynamos1/count:main": nil},
	}
	objects, version, err := s.policy()
	if err != nil || len(objects) != 2 {
		t.Fatalf("%v, %v", objects, err)
	}
	spec := objects[0].Object["spec"].(map[string]any)
	condition := spec["matchConditions"].([]any)[0].(map[string]any)["expression"].(string)
	for _, part := range []string{
		`["north","south","default"]`, `"dynamos1/read:main"`,
	} {
		if !strings.Contains(condition, part) {
			t.Errorf("the condition lacks %s: %s", part, condition)
		}
	}
	patch := spec["mutations"].([]any)[0].(map[string]any)["jsonPatch"].(map[string]any)["expression"].(string)
	if part := `value: "[{\"name\":\"survey\",\"sensitive_columns\":{\"Answers\":[\"born\"]}}]"`; !strings.Contains(patch, part) {
		t.Errorf("the patch lacks %s: %s", part, patch)
	}
	if part := `"dynamos1/blur:main":"\"born\",\"a \\\"name\\\"\""`; !strings.Contains(patch, part) {
		t.Errorf("the patch lacks %s: %s", part, patch)
	}
	if strings.Contains(patch, "count") {
		t.Errorf("a service that makes nothing anonymous is in the patch: %s", patch)
	}
	if _, v, err := s.policy(); err != nil || v != version {
		t.Errorf("the same has version %s, then %s, %v", version, v, err)
	}
	s.Anonymizers = nil
	if _, v, err := s.policy(); err != nil || v == version {
		t.Errorf("another has the same version, %v", err)
	}
}
