// Package app makes the program out of its parts: settings, services, routes.
//
// It is the one place that reads the environment ([LoadConfig]), builds each
// service once with the one credential and the one transport ([New]), and says
// in HTTP what package conversation does. The deployed binary and the local
// run both start it by [Run]; only their environments differ.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"keyless/handler/conversation"
	"keyless/handler/host"
	"keyless/handler/jobs"
)

// Version is stamped by the build (-ldflags -X).
var Version = "dev"

// How long a request may take.
const (
	// requestTime is for a caller's. Azure's load balancer drops an HTTP
	// request after 230 seconds without an answer (functions-scale,
	// "timeout"), so ours ends before that, with time left to save and to say so.
	requestTime = 220 * time.Second
	// jobTime is for one delivery of a job. It ends before the host stops to
	// renew the message's lock, and that before the host's functionTimeout, at
	// which the host kills this process and all else that it does (host.json).
	jobTime = 25 * time.Minute
)

// App serves the functions of the app. It is safe for concurrent use.
type App struct {
	config        Config
	log           *slog.Logger
	conversations *conversation.Service
	jobs          *jobs.Service // nil: no queue is configured
	services      *services
	getenv        func(string) string // for the report on the identity
}

// New builds the app from its configuration. It does no I/O: the host is
// waiting for an answer to its ping.
func New(c Config, o Options, log *slog.Logger) (*App, error) {
	s, err := newServices(c, o.DialBus, log)
	if err != nil {
		return nil, err
	}
	return &App{config: c, log: log, services: s, conversations: s.conversations, jobs: s.jobs, getenv: o.Getenv}, nil
}

// Dial opens a connection.
type Dial func(ctx context.Context) (net.Conn, error)

// Options are what differs between the deployed and the local run.
type Options struct {
	Getenv         func(string) string
	Stdout, Stderr io.Writer
	// Local tells that this is a local run: its queue may be an emulator.
	Local bool
	// DialBus opens connections to a Service Bus that is not at its
	// namespace's address; nil: it is.
	DialBus Dial
	// Listen opens the listener; nil: the port that the host chose.
	Listen func() (net.Listener, error)
	// Wrap may put something before the app's handler; nil: nothing.
	Wrap func(http.Handler) http.Handler
	// Ready is called once requests are served; nil: nobody asks.
	Ready func(net.Addr)
}

// Run loads the configuration, serves until ctx ends, and returns why it
// stopped; nil only if ctx ended and all requests did. The errors of a wrong
// configuration are joined in one.
func Run(ctx context.Context, o Options) error {
	config, err := LoadConfig(o.Getenv, o.Local)
	if err != nil {
		return fmt.Errorf("these settings are wrong or missing:\n%w", err)
	}
	log := host.NewLog(o.Stdout, o.Stderr, config.LogLevel)
	listen := o.Listen
	if listen == nil {
		listen = func() (net.Listener, error) { return host.Listen(o.Getenv) }
	}
	l, err := listen()
	if err != nil {
		return err
	}
	a, err := New(config, o, log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer a.services.close()
	a.services.warm(ctx)
	log.Info("serving", "version", Version, "address", l.Addr().String())
	if o.Ready != nil {
		o.Ready(l.Addr())
	}
	handler := a.Handler()
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	return host.Serve(ctx, l, handler, log)
}
