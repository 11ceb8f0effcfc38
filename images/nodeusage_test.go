package images

import "testing"

func TestParseUsage(t *testing.T) {
	t.Parallel()
	const out = `KEY                  SIZE      INODES
0576650              20480     6
sha256:7e35a01555db  1000      3
sha256:8c53aa815461  200       1
blob 30
blob 4
`
	if got, err := parseUsage(out); err != nil || got != 1234 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := parseUsage("sha256:7e35 44.0 KiB"); err == nil {
		t.Error("a size that is no number is taken")
	}
}
