package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
)

// tenfold is how much larger the grown workspace is.
const tenfold = 10

// workspaceSize is what a session may grow with.
type workspaceSize struct{ services, keys, files int }

// growWorkspace makes a workspace in the folder to, as the one in from but with ten times as many services, keys and
// files. The services that are added are small: a session holds what it knows of a service, not its binary.
func growWorkspace(from, to string) (before, after workspaceSize, err error) {
	if err := copyTree(from, to); err != nil {
		return before, after, err
	}
	if before, err = sizeOf(to); err != nil { // without what copyTree leaves out
		return before, after, err
	}
	var added []string
	for i := range before.services * (tenfold - 1) {
		added = append(added, fmt.Sprintf("grown-%d", i))
	}
	launch := filepath.Join(to, "configuration", "etcd_launch_files")
	err = addServices(to, added)
	if err == nil {
		err = extend(filepath.Join(launch, "microservices.json"), len(added), func(i int) any {
			return map[string]any{"name": added[i], "label": "computeProvider", "allowedOutputs": []string{}}
		})
	}
	if err == nil { // each service has a key; what is still missing becomes archetypes that nobody is allowed
		err = extend(filepath.Join(launch, "archetype.json"), max(0, before.keys*(tenfold-1)-len(added)), func(i int) any {
			return map[string]any{"name": fmt.Sprintf("grown%d", i), "computeProvider": "other", "resultRecipient": "requestor", "weight": 1000 + i}
		})
	}
	// A folder that is watched, in which nothing is a service.
	for i := 0; err == nil && i < tenfold-1; i++ {
		err = copyTree(from, filepath.Join(to, "go", "copies", fmt.Sprint(i)))
	}
	if err != nil {
		return before, after, err
	}
	after, err = sizeOf(to)
	return before, after, err
}

func sizeOf(workspace string) (size workspaceSize, err error) {
	folders, err := images.ServiceFolders(workspace)
	if err != nil {
		return size, err
	}
	set, err := fixtures.Parse(os.DirFS(filepath.Join(workspace, "configuration", "etcd_launch_files")))
	if err != nil {
		return size, err
	}
	size.services, size.keys = len(folders), len(set.Keys())
	err = filepath.WalkDir(workspace, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			size.files++
		}
		return err
	})
	return size, err
}

// addServices adds Go services that do nothing.
func addServices(workspace string, names []string) error {
	for _, name := range names {
		dir := filepath.Join(workspace, "go", "cmd", name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		text := fmt.Sprintf("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(%q) }\n", name)
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// extend adds n elements to the list in a file of JSON.
func extend(path string, n int, element func(i int) any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var list []any
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for i := range n {
		list = append(list, element(i))
	}
	if b, err = json.MarshalIndent(list, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
