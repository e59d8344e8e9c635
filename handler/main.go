// Command handler is the Azure Functions custom handler of the agent.
//
// The Functions host starts it, tells it a port, and hands it each request;
// package app does the rest. It is built into dist/ beside host.json and the
// function folders (make dist). Nothing in it is simulated: with a setting
// missing it names all that are missing and exits. Command local is the same
// app with stand-ins for the services that are not configured.
//
// "handler doctor" examines each service in place of serving, and tells what
// mends those that do not work; with --json, for programs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"keyless/handler/app"
	"keyless/handler/doctor"
	"keyless/handler/host"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "doctor" {
		os.Exit(diagnose(ctx, os.Args[2:]))
	}
	err := app.Run(ctx, options())
	if err != nil {
		fmt.Fprintln(os.Stderr, "keyless:", err)
		os.Exit(host.ExitFailure)
	}
	os.Exit(host.ExitSignal)
}

func options() app.Options {
	return app.Options{Getenv: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr}
}

// diagnose prints doctor's report and returns the exit code: 0 if all is well,
// 1 if not, 2 if it was called wrongly.
func diagnose(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("handler doctor", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	report := app.Diagnose(ctx, options())
	write := func() error { return report.Write(os.Stdout, doctor.Colours(os.Stdout, os.Getenv)) }
	if *asJSON {
		write = func() error { return report.WriteJSON(os.Stdout) }
	}
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "keyless:", err)
		return 1
	}
	if !report.Healthy {
		return 1
	}
	return 0
}
