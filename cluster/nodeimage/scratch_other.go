//go:build !linux

package nodeimage

// Nothing is built on other systems (see buildable), so there is nothing to stop or unmount.

func stopUnder(string) error    { return nil }
func unmountUnder(string) error { return nil }
func syncFiles(string) error    { return nil }
