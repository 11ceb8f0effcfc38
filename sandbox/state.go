package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"
)

// DefaultName is the sandbox that commands mean when no other is named.
const DefaultName = "default"

// names of sandboxes end up in names of containers, networks and Kubernetes clusters. kind allows 50 characters.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// State is the folder (mode 0700) in which one sandbox keeps what must outlive its session process:
// the record of how it was made, the config store's data, the kubeconfig, the control socket.
type State struct {
	Name string
	Dir  string
}

// longestSocket is what a Unix socket's path may have: sun_path of unix(7) without its closing zero.
const longestSocket = 107

// Locate returns the state of the sandbox of that name, whether it exists or not:
// $XDG_STATE_HOME/dynsandbox/<name>, by default under ~/.local/state.
func Locate(name string) (State, error) {
	if !validName.MatchString(name) {
		return State{}, fmt.Errorf("sandbox name %q: only lower-case letters, digits and inner hyphens, at most 32", name)
	}
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return State{}, fmt.Errorf("find the state folder: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	// The session process has another working folder.
	base, err := filepath.Abs(base)
	if err != nil {
		return State{}, fmt.Errorf("find the state folder: %w", err)
	}
	st := State{Name: name, Dir: filepath.Join(base, "dynsandbox", name)}
	if n := len(st.socket()); n > longestSocket {
		return State{}, fmt.Errorf("state folder %s: its path is %d characters too long for a Unix socket; set XDG_STATE_HOME to a shorter one", st.Dir, n-longestSocket)
	}
	return st, nil
}

// CacheDir is where everything is kept that can be made again (parts of the node image, builds, bases),
// shared by all sandboxes: $XDG_CACHE_HOME/dynsandbox.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(base, "dynsandbox"), nil
}

// Kubeconfig is the sandbox's own kubeconfig file.
func (s State) Kubeconfig() string { return filepath.Join(s.Dir, "kubeconfig") }

func (s State) socket() string      { return filepath.Join(s.Dir, "session.sock") }
func (s State) lock() string        { return filepath.Join(s.Dir, "session.lock") }
func (s State) log() string         { return filepath.Join(s.Dir, "session.log") }
func (s State) record() string      { return filepath.Join(s.Dir, "sandbox.json") }
func (s State) etcdData() string    { return filepath.Join(s.Dir, "etcd") }
func (s State) mounts() string      { return filepath.Join(s.Dir, "mounts") }
func (s State) launchFiles() string { return filepath.Join(s.Dir, "launch-files") }

// Record says how a sandbox was made. It holds the broker's password, so its file has mode 0600 and it is
// never printed.
type Record struct {
	Workspace      string            `json:"workspace"`           // absolute path
	NodeImage      string            `json:"nodeImage,omitempty"` // as asked for; empty for the default
	Nodes          int               `json:"nodes,omitempty"`     // of the cluster; 0 is 1
	Offline        bool              `json:"offline,omitempty"`   // never pull
	Debug          bool              `json:"debug,omitempty"`     // Go services are built for a debugger
	Mount          bool              `json:"mount,omitempty"`     // services are mounted from the host into Pods
	BuildArgs      map[string]string `json:"buildArgs,omitempty"` // of Dockerfiles
	HTTPPort       int               `json:"httpPort,omitempty"`  // of the entry, on loopback; 0 until first chosen
	PortAsked      bool              `json:"portAsked,omitempty"` // the user chose it: no other will do
	EtcdPort       int               `json:"etcdPort,omitempty"`  // of the config store, on loopback; 0 until first chosen
	BrokerPassword string            `json:"brokerPassword"`

	// What the last bring-up did, so that the next can tell whether anything changed.
	Sources  string             `json:"sources,omitempty"` // fingerprint of the sources that the images were built from
	Images   map[string]Image   `json:"images,omitempty"`  // what was loaded, by the images' names on the node
	InPlace  map[string]InPlace `json:"inPlace,omitempty"` // workloads whose Pods were restarted in place, by object
	Verified Verified           `json:"passed,omitzero"`   // the scenario that last passed
	Applied  string             `json:"applied,omitempty"` // a hash of the objects that were last applied whole
}

// Verified says which scenario passed, and for what. As long as nothing changes it need not be run again.
type Verified struct {
	Scenario string    `json:"scenario"`
	At       time.Time `json:"at"`
	Hash     string    `json:"hash"` // of all that its answer depends on
}

// Image is an image as the node has it.
type Image struct {
	Digest string `json:"digest"` // of the manifest: what containerd names
	ID     string `json:"id"`     // digest of the configuration: what a running container shows
}

// ErrNoSandbox is returned for a sandbox that was never brought up, or was purged.
var ErrNoSandbox = errors.New("no such sandbox")

// Read returns the record of how the sandbox was made, or ErrNoSandbox.
func (s State) Read() (Record, error) {
	var r Record
	b, err := os.ReadFile(s.record())
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%w: %q", ErrNoSandbox, s.Name)
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", s.record(), err)
	}
	return r, nil
}

// Update changes the record, all or nothing, and returns the new one. A sandbox without a record begins with an empty
// one. Session process and commands both write it, so each change begins with what stands there.
func (s State) Update(change func(*Record) error) (Record, error) {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return Record{}, err
	}
	lock := flock.New(s.record() + ".lock")
	if err := lock.Lock(); err != nil {
		return Record{}, fmt.Errorf("lock the sandbox's record: %w", err)
	}
	defer lock.Unlock()
	r, err := s.Read()
	if err != nil && !errors.Is(err, ErrNoSandbox) {
		return r, err
	}
	if err := change(&r); err != nil {
		return r, err
	}
	return r, s.write(r)
}

// write stores the record: a process killed half-way, or a power cut, leaves the old one.
func (s State) write(r Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, ".sandbox-*.json") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the sandbox's record: %w", err)
	}
	return os.Rename(f.Name(), s.record())
}
