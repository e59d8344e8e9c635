// Package host is what the Azure Functions host and this program say to each
// other: the port it gives us, the ping it waits for, the headers it adds, the
// envelope in which it hands over a queue message, and what it makes of our
// output and exit code. Nothing else in the program knows these things.
//
// The facts are from Azure/azure-functions-host, src/WebJobs.Script/Workers
// (HttpWorkerProcess, DefaultHttpWorkerService, HttpFunctionInvocationDispatcher,
// WorkerProcess); each is named where it is used.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Exit codes. The host takes code 0 for a handler that is done: it does not
// start it again, and the app stays dead (HttpFunctionInvocationDispatcher).
// So nothing that is deployed may exit with 0.
const (
	ExitFailure = 1   // counted as a crash; started again, three times at most
	ExitSignal  = 130 // stopped by a signal
)

// drain is how long requests may take to end once the program is told to stop.
const drain = 5 * time.Second

// Listen opens the port that the host chose, on loopback, from where alone the
// host calls. The host pings GET / from the moment it started us, so this comes
// before any slow work.
func Listen(getenv func(string) string) (net.Listener, error) {
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"} {
		if port := getenv(name); port != "" {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
			if err != nil {
				return nil, fmt.Errorf("listen on the port in %s: %w", name, err)
			}
			return l, nil
		}
	}
	return nil, errors.New("FUNCTIONS_CUSTOMHANDLER_PORT is not set: this program is started by the Azure Functions host (func start --script-root dist)")
}

// Serve answers requests from l with h until ctx ends, then cancels the
// requests in flight and waits for them, five seconds at most. It answers
// GET / itself: the host sends it each 25 ms until the first answer, whatever
// the status, and later to see whether we live. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelRequests()
	server := &http.Server{
		Handler:           ready(h),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       4 * time.Minute, // longer than the host keeps its connections
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(l) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	cancelRequests()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		return fmt.Errorf("wait for the requests in flight: %w", errors.Join(err, server.Close()))
	}
	return nil
}

// ready answers the host's ping and passes on everything else.
func ready(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w.WriteHeader(http.StatusOK)
			return
		}
		h.ServeHTTP(w, r)
	})
}
