// Command handler is the Azure Functions custom handler of the agent.
//
// The Functions host starts it, tells it a port, and hands it each request;
// package app does the rest. It is built into dist/ beside host.json and the
// function folders (make dist). Nothing in it is simulated: with a setting
// missing it names all that are missing and exits. Command local is the same
// app with stand-ins for the services that are not configured.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"keyless/handler/app"
	"keyless/handler/host"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := app.Run(ctx, app.Options{Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "keyless:", err)
		os.Exit(host.ExitFailure)
	}
	os.Exit(host.ExitSignal)
}
