// Command sessionpool is an emulator of a code interpreter session pool of
// Azure Container Apps, for any HTTP client in any language:
//
//	go run ./handler/localazure/cmd/sessionpool -port 7075
//
// Its first lines say where the pool is, and give a curl command with a token
// that can be pasted into a shell. It speaks all api-versions from
// 2024-02-02-preview on and runs real Python, compiled to WebAssembly (package
// python), which has no network, no environment and no files but its own.
//
// Beside the pool it serves two things that the service does not have: App
// Service's identity endpoint, so that DefaultAzureCredential finds tokens in
// an environment without Azure, and /fault, which makes the pool fail on
// purpose (fault.go). It listens on loopback alone, and refuses requests that
// were made to another name than this machine's: it runs code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"keyless/handler/localazure/python"
)

func main() {
	python.WorkerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "sessionpool:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and returns when all sessions have ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	e, err := newEmulator(ctx, o, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.level()})))
	if err != nil {
		return err
	}
	defer e.close()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", o.port))
	if err != nil {
		return fmt.Errorf("%w (stop what listens there, or choose another port with -port)", err)
	}
	if err := e.invite(stdout, "http://"+l.Addr().String()); err != nil {
		return errors.Join(err, l.Close())
	}
	return serve(ctx, l, e.handler())
}

// serve serves h until ctx ends. Requests in progress are cut off then: what
// they wait for would be stopped anyway.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the session pool: %w", err)
	}
	return nil
}
