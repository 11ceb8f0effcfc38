package limits_test

import (
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 30 * time.Second, "60s": time.Minute, "45": 45 * time.Second, "1m30s": 90 * time.Second,
		"soon": 0, "0": 0, "-5s": 0, "60 s": 0,
	} {
		got, err := limits.Request(func(name string) string {
			if name != "DYNAMOS_HTTP_REQUEST_TIMEOUT" {
				t.Errorf("asked for %s", name)
			}
			return text
		})
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("limit of %q = %v, %v, want %v", text, got, err, want)
		}
	}
}
