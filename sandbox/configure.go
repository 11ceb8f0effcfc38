package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path/filepath"
)

// Settings are what the user asks of a sandbox; empty ones leave what it has.
type Settings struct {
	Workspace string // default: the one that the current folder lies in
	NodeImage string // default: what kind pins, or one built here
	Offline   bool
	HTTPPort  int // default: 8080, or a free one
}

// Configure records how the sandbox is made: on the first call everything is chosen, later only what is asked for
// changes. dir is the folder from which a workspace is looked for.
func Configure(st State, want Settings, dir string) error {
	record, err := st.Read()
	if err != nil && !errors.Is(err, ErrNoSandbox) {
		return err
	}
	if record, err = record.with(st, want, dir); err != nil {
		return err
	}
	return st.Write(record)
}

// with returns the record with what is wanted, and with a choice for what was never chosen.
func (record Record) with(st State, want Settings, dir string) (_ Record, err error) {
	if want.Workspace != "" {
		abs, err := filepath.Abs(want.Workspace)
		if err != nil {
			return record, err
		}
		if err := checkWorkspace(abs); err != nil {
			return record, err
		}
		if record.Workspace != "" && record.Workspace != abs {
			return record, fmt.Errorf("%w: %q was made for %s, not %s", ErrOtherWorkspace, st.Name, record.Workspace, abs)
		}
		record.Workspace = abs
	}
	if record.Workspace == "" {
		if record.Workspace, err = FindWorkspace(dir); err != nil {
			return record, err
		}
	}
	if want.NodeImage != "" {
		record.NodeImage = want.NodeImage
	}
	record.Offline = record.Offline || want.Offline
	if want.HTTPPort != 0 {
		record.HTTPPort = want.HTTPPort
	}
	if record.HTTPPort == 0 {
		if record.HTTPPort, err = loopbackPort(8080); err != nil {
			return record, err
		}
	}
	if record.EtcdPort == 0 {
		if record.EtcdPort, err = loopbackPort(2379); err != nil {
			return record, err
		}
	}
	if record.BrokerPassword == "" {
		record.BrokerPassword = rand.Text()
	}
	return record, nil
}

// loopbackPort returns the preferred port if it is free on loopback, else another that is.
func loopbackPort(preferred int) (int, error) {
	for _, port := range []int{preferred, 0} {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, errors.New("no free port on the loopback interface")
}

// Variable is one that other tools read from their environment.
type Variable struct{ Name, Value string }

// Environment returns what other tools need to reach the sandbox.
func Environment(st State) ([]Variable, error) {
	record, err := st.Read()
	if err != nil {
		return nil, err
	}
	return []Variable{
		{"KUBECONFIG", st.Kubeconfig()},
		{"ETCDCTL_ENDPOINTS", fmt.Sprintf("http://127.0.0.1:%d", record.EtcdPort)},
		{"DYNSANDBOX_NAME", st.Name},
		{"DYNSANDBOX_URL", fmt.Sprintf("http://localhost:%d", record.HTTPPort)},
	}, nil
}
