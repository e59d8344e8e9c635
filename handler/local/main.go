// Command local runs the agent on one machine, with no Azure or with some.
//
// It starts a stand-in on loopback for each service that no setting names
// (package localazure), points the real clients at it, and runs the same app
// as the deployed handler. `make run` starts it on port 7071; under
// `func start` it takes the place of the handler and the port the host chose.
//
// It runs code that a caller sends, so it listens on loopback alone and
// refuses requests that a web page could make by a name of its own for
// 127.0.0.1.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"keyless/handler/app"
	"keyless/handler/host"
	"keyless/handler/localazure"
	"keyless/handler/localazure/python"
)

func main() {
	python.WorkerMain()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "keyless:", err)
		os.Exit(host.ExitFailure)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) error {
	s, err := start(ctx, getenv, stdout)
	if err != nil {
		return err
	}
	defer s.close()
	return app.Run(ctx, app.Options{
		Getenv:  s.getenv,
		Stdout:  stdout,
		Stderr:  stderr,
		Local:   true,
		DialBus: s.dialBus,
		Listen:  func() (net.Listener, error) { return listen(getenv) },
		Wrap:    localazure.OnlyLoopback,
		Ready: func(addr net.Addr) {
			s.pump(ctx, addr)
			invite(stdout, getenv, addr)
		},
	})
}

// listen opens the host's port where there is a host, else PORT or 7071, which
// is where `func start` serves.
func listen(getenv func(string) string) (net.Listener, error) {
	if underHost(getenv) {
		return host.Listen(getenv)
	}
	port := getenv("PORT")
	if port == "" {
		port = "7071"
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("%w (stop what listens there, or choose another port: make run PORT=7072)", err)
	}
	return l, nil
}

func underHost(getenv func(string) string) bool {
	return getenv("FUNCTIONS_CUSTOMHANDLER_PORT") != "" || getenv("FUNCTIONS_HTTPWORKER_PORT") != ""
}

// invite prints what to try. Under the host, the host prints the addresses.
func invite(w io.Writer, getenv func(string) string, addr net.Addr) {
	if underHost(getenv) {
		return
	}
	fmt.Fprintf(w, `
Ready at http://%[1]s. Try, in another terminal:

  curl -s http://%[1]s/api/chat -H 'Content-Type: application/json' -d '{"message": "What is 23 * 19?"}'

  curl -N http://%[1]s/api/chat -H 'Content-Type: application/json' -d '{"message": "Simulate 1000 rolls of two dice", "stream": true}'

  curl -s http://%[1]s/api/chat -H 'Content-Type: application/json' -d '{"message": "plot sin(x) from 0 to 10"}'

Go on in a conversation by sending its "conversation_id" back. Ctrl-C stops.

`, addr)
}
