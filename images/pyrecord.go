package images

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func (b *PythonBuilder) builtDir() string { return filepath.Join(b.dir(), "built") }

// recordDir is where the record of the image is in which just these inputs are baked.
func (b *PythonBuilder) recordDir(l layered) string {
	raw, err := json.Marshal(l.baked)
	if err != nil {
		panic(err) // strings only
	}
	return filepath.Join(b.builtDir(), textHash(string(raw))[:32])
}

// keepBase notes what the engine built, for layers to come. Records that nobody used for long are removed.
func (b *PythonBuilder) keepBase(svc Service, in pythonInputs, kept keptImage) error {
	l, err := in.takeApart()
	if err != nil {
		return nil //nolint:nilerr // every build of it needs the engine
	}
	r := builtRecord{Baked: l.baked, Image: kept}
	if r.Base, err = learnBase(l.plan, l.context, l.carried, kept.paths(b.Cache)); err != nil {
		r.Base = layerBase{Unfit: err.Error()}
	}
	dir := b.recordDir(l)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, "image.json"), raw); err != nil {
		return err
	}
	if err := b.setLast(svc, dir); err != nil {
		return err
	}
	return removeOld(b.builtDir(), layerLife)
}

// lastFile names the record of a service's last build.
func (b *PythonBuilder) lastFile(svc Service) (string, error) {
	workspace, err := pathHash(b.Workspace)
	return filepath.Join(b.builtDir(), "last-"+workspace+"-"+svc.Name), err
}

func (b *PythonBuilder) setLast(svc Service, dir string) error {
	file, err := b.lastFile(svc)
	if err != nil {
		return err
	}
	if known, err := os.ReadFile(file); err == nil && string(known) == filepath.Base(dir) {
		return nil
	}
	return replaceFile(file, []byte(filepath.Base(dir)))
}

// difference says, for people, which of the baked inputs is not what it was in the last build.
func (b *PythonBuilder) difference(svc Service, l layered) string {
	var last builtRecord
	file, err := b.lastFile(svc)
	if err == nil {
		var name []byte
		if name, err = os.ReadFile(file); err == nil {
			err = readJSON(filepath.Join(b.builtDir(), string(name), "image.json"), &last)
		}
	}
	if err != nil {
		return "it was not built here before"
	}
	all := maps.Clone(last.Baked)
	maps.Copy(all, l.baked)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before, now := last.Baked[name], l.baked[name]; before != now {
			if why := l.reasons[name]; why != "" {
				return fmt.Sprintf("%s was changed: %s", name, why)
			}
			return name + " was changed"
		}
	}
	return "its last build is no longer kept"
}

func readJSON(file string, v any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// replaceFile writes a file that others may be reading.
func replaceFile(file string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), "part-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func textHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
