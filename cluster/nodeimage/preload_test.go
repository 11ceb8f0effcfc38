package nodeimage

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// containerd refuses sockets whose path is longer than 104 bytes, and a cache may lie deep.
func TestSocketsAreShort(t *testing.T) {
	t.Parallel()
	deep := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	run, err := newRunDir(deep)
	if err != nil {
		t.Fatal(err)
	}
	sockets := regexp.MustCompile(`address = "([^"]+)"`).FindAllStringSubmatch(run.config("/root"), -1)
	if len(sockets) != 2 {
		t.Fatalf("%d sockets in the configuration, want 2", len(sockets))
	}
	for _, s := range sockets {
		if strings.HasPrefix(s[1], deep) || filepath.Dir(s[1]) != run.sockets {
			t.Errorf("socket %s", s[1])
		}
	}
	if err := run.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(run.sockets); !os.IsNotExist(err) {
		t.Errorf("the sockets' folder is left: %v", err)
	}
}
