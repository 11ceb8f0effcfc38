package main

import (
	"os"
	"os/signal"
	"syscall"
)

// nextInterrupt tells of the next Ctrl-C after the first one, which ended the command's context.
func nextInterrupt() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c, func() { signal.Stop(c) }
}
