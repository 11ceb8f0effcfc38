// Command dynsandbox is a local developer sandbox for DYNAMOS: see package sandbox for what it does.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; the next one ends the program at once, whatever it waits for. Not
	// signal.NotifyContext: the second must count as soon as anything shows that the first was heard.
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	// What libraries have to tell is for whoever works on this program, unless it is a warning.
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	os.Exit(run(ctx, streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:]))
}
