package images

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file that is being written while its layer is must not leave a layer that is named by something else.
func TestLayerOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"longer": "y = 1000", "shorter": "x", "as long": "x = 2"} {
		dir := writeFiles(t, map[string]string{"main.py": "x = 1"})
		tree := contextTree{}
		if err := tree.addFolder(nil, dir, "."); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		diff := layerDiff{files: map[string]contextFile{"/app/main.py": tree["main.py"]}}
		if err := diff.write(io.Discard); !errors.Is(err, errChanging) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestHashOfAFileThatIsWrittenAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "main.py")
	var h fileHashes
	hash := func(text string, age int) string {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := contextTime.AddDate(0, 0, -age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		_, sum, err := h.hash(path)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := hash("a", 1)
	if again := hash("a", 1); again != first {
		t.Error("the same file has another hash")
	}
	if other := hash("b", 2); other == first {
		t.Error("a file of the same length, written later, has the same hash")
	}
	if other := hash("longer", 2); other == first {
		t.Error("a longer file of the same time has the same hash")
	}
}
