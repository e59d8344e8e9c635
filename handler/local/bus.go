package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/localazure"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/trigger"
)

const (
	busNamespace = "ServiceBusConnection__fullyQualifiedNamespace"
	busAudience  = "https://servicebus.azure.net"
	jobsQueue    = "jobs"
)

// bus stands in for Service Bus: a broker on loopback with the queue that the
// infrastructure code makes in Azure.
func (s *standIns) bus(context.Context) error {
	if namespace := s.getenv(busNamespace); namespace != "" {
		s.say("jobs", "queued on %s; the Functions host, or the deployed app, runs them", namespace)
		return nil
	}
	if s.getenv("ServiceBusConnection") != "" {
		s.say("jobs", "queued on the emulator in ServiceBusConnection; the Functions host runs them")
		return nil
	}
	broker := bus.New(bus.Config{CheckToken: func(token string) error { return s.issuer.CheckToken(token, busAudience) }})
	broker.AddQueue(bus.Queue{Name: jobsQueue, RequiresSession: true, LockDuration: time.Minute, DuplicateDetection: 10 * time.Minute})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- broker.Serve(l) }()
	s.closers = append(s.closers, func() error { return errors.Join(broker.Close(), <-stopped) })
	s.dialBus = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	s.set[busNamespace], s.set["JOBS_QUEUE"] = "local.servicebus.windows.net", jobsQueue
	s.say("jobs", "queued on a stand-in for Service Bus, in memory, for other clients at Endpoint=sb://%s;SharedAccessKeyName=local;SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true", l.Addr())
	return nil
}

// pump plays the Functions host's trigger for a queue that is stood in: it
// posts each job to the handler at addr, until ctx ends.
func (s *standIns) pump(ctx context.Context, addr net.Addr) {
	if s.dialBus == nil {
		return
	}
	p, err := trigger.New(trigger.Config{Namespace: s.set[busNamespace], Queue: jobsQueue, Credential: minted{s.issuer}, Dial: s.dialBus,
		Handler: "http://" + addr.String(), Function: "run-job", MaxAutoLockRenewal: 28 * time.Minute, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.say("jobs", "cannot be run: %v", err)
		return
	}
	ctx, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Run(ctx) }()
	s.closers = append(s.closers, func() error {
		stop()
		return <-stopped
	})
}

// minted gives the pump, which in Azure is the host with its own credential, a
// token for Service Bus.
type minted struct{ issuer *localazure.Issuer }

func (m minted) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	const lifetime = time.Hour
	token, err := m.issuer.Mint(busAudience, lifetime)
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(lifetime)}, err
}
