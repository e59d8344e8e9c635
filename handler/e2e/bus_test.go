package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/localazure"
	"keyless/handler/localazure/bus"
	"keyless/handler/localazure/trigger"
	"keyless/handler/queue"
)

// serviceBus is a Service Bus namespace with the jobs' queue: a broker behind
// TLS at a loopback address of its own, on the port that the client insists on.
type serviceBus struct {
	*bus.Broker
	namespace string
	certFile  string
	issuer    *localazure.Issuer
	roots     *x509.CertPool
}

// nextAddress numbers the loopback addresses that the tests' namespaces have.
var nextAddress atomic.Int32

func newServiceBus(t *testing.T, issuer *localazure.Issuer) *serviceBus {
	t.Helper()
	n := nextAddress.Add(1)
	s := &serviceBus{namespace: fmt.Sprintf("127.5.%d.%d", os.Getpid()%250, n), issuer: issuer, roots: x509.NewCertPool(),
		Broker: bus.New(bus.Config{CheckToken: func(token string) error {
			return issuer.CheckToken(token, "https://servicebus.azure.net")
		}})}
	s.AddQueue(bus.Queue{Name: "jobs", RequiresSession: true, LockDuration: 10 * time.Second, DuplicateDetection: 10 * time.Minute})
	certificate := s.certify(t)
	l, err := tls.Listen("tcp", net.JoinHostPort(s.namespace, "5671"), &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-stopped
	})
	return s
}

// certify makes the namespace's certificate, and writes it for the handler.
func (s *serviceBus) certify(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(s.namespace)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.roots.AppendCertsFromPEM(encoded)
	s.certFile = filepath.Join(t.TempDir(), "bus.pem")
	if err := os.WriteFile(s.certFile, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// settings point a handler at the namespace.
func (s *serviceBus) settings() map[string]string {
	return map[string]string{"ServiceBusConnection__fullyQualifiedNamespace": s.namespace, "JOBS_QUEUE": "jobs", "SSL_CERT_FILE": s.certFile}
}

// GetToken gives the pump, which plays the host, the host's own token.
func (s *serviceBus) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := s.issuer.Mint("https://servicebus.azure.net", time.Hour)
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

func (s *serviceBus) dial(ctx context.Context) (net.Conn, error) {
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: s.roots}}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.namespace, "5671"))
}

// send puts a message into the queue, as anyone may who has the role.
func (s *serviceBus) send(t *testing.T, id string, body []byte) {
	t.Helper()
	sender, err := queue.New(queue.Config{Namespace: s.namespace, Queue: "jobs", Credential: s, Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close(t.Context()) }()
	if err := sender.Send(t.Context(), queue.Message{ID: id, Session: id, Body: body}); err != nil {
		t.Fatal(err)
	}
}

// settled waits until so many messages are completed and none is left.
func (s *serviceBus) settled(t *testing.T, completed int64) {
	t.Helper()
	s.await(t, func(c bus.Counts) bool { return c.Completed == completed && c.Active+c.Locked+c.DeadLettered == 0 })
}

// await waits until the queue is as it should be.
func (s *serviceBus) await(t *testing.T, is func(bus.Counts) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		c := s.Counts("jobs")
		if is(c) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the queue: %+v", c)
		}
	}
}

// pump runs the host's trigger for the handler at base until the test ends.
func (s *serviceBus) pump(t *testing.T, base string, client *http.Client) {
	t.Helper()
	p, err := trigger.New(trigger.Config{Namespace: s.namespace, Queue: "jobs", Credential: s, Handler: base, Function: "run-job",
		MaxConcurrentSessions: 8, SessionIdleTimeout: 200 * time.Millisecond, MaxAutoLockRenewal: 28 * time.Minute, Client: client,
		Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-stopped
	})
}
