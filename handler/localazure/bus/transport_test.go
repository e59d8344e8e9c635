package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"keyless/handler/localazure/bus"
)

// fast is for tests in real time.
var fast = azservicebus.RetryOptions{MaxRetries: 8, RetryDelay: 5 * time.Millisecond, MaxRetryDelay: 50 * time.Millisecond}

// serve runs a broker with a listener until the test ends, and returns its address.
func serve(t testing.TB, b *bus.Broker, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	address := l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	t.Cleanup(func() {
		_ = b.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return address
}

// certificate makes a certificate for host, and the pool that trusts it.
func certificate(t *testing.T, host string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "make a key", err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, "make a certificate", err)
	parsed, err := x509.ParseCertificate(der)
	must(t, "parse the certificate", err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// roundTrip sends a message and completes it.
func roundTrip(t *testing.T, c *azservicebus.Client, queue string) {
	t.Helper()
	s, r := sender(t, c, queue), receiver(t, c, queue, nil)
	send(t, s, "m")
	must(t, "complete", r.CompleteMessage(t.Context(), receive(t, r, "m"), nil))
}

func TestEmulatorConnectionString(t *testing.T) {
	b := bus.New(bus.Config{CheckToken: func(string) error { return errors.New("a JWT came") }})
	b.AddQueue(bus.Queue{Name: "q"})
	address := serve(t, b, nil)
	c, err := azservicebus.NewClientFromConnectionString(
		"Endpoint=sb://"+address+";SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true", nil)
	must(t, "make a client", err)
	defer c.Close(context.Background())
	roundTrip(t, c, "q")
}

func TestTLSAndCredential(t *testing.T) {
	const host = "local.servicebus.windows.net"
	config, pool := certificate(t, host)
	b := bus.New(bus.Config{})
	b.AddQueue(bus.Queue{Name: "q"})
	address := serve(t, b, config)
	c, err := azservicebus.NewClient(host, credential{}, &azservicebus.ClientOptions{
		CustomEndpoint: address, TLSConfig: &tls.Config{RootCAs: pool}, RetryOptions: fast})
	must(t, "make a client", err)
	defer c.Close(context.Background())
	roundTrip(t, c, "q")
	b.CutConnections()
	roundTrip(t, c, "q")
}

func TestListenerThatFails(t *testing.T) {
	b := bus.New(bus.Config{})
	defer b.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	must(t, "close the listener", l.Close())
	if err := b.Serve(l); err == nil {
		t.Error("Serve returned nil though its listener failed")
	}
}

// TestChaos sends and works messages of several sessions over TCP while
// connections are cut and closed, links detached and answers lost: nothing is
// lost, nothing is stored twice, and each session stays in order.
func TestChaos(t *testing.T) {
	const sessions, each = 8, 200
	b := bus.New(bus.Config{})
	b.AddQueue(bus.Queue{Name: "q", RequiresSession: true, DuplicateDetection: time.Hour, MaxDeliveryCount: 1 << 20})
	address := serve(t, b, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	var sends int
	b.OnSend(func(string, string) bus.SendFault {
		switch sends++; sends % 40 {
		case 7:
			return bus.SendFault{Outcome: bus.StoreAndCut}
		case 17:
			return bus.SendFault{Condition: "com.microsoft:server-busy"}
		case 27:
			return bus.SendFault{Delay: 20 * time.Millisecond}
		}
		return bus.SendFault{}
	})
	stop := make(chan struct{})
	var disrupting, working, sending sync.WaitGroup
	disrupting.Go(func() { disrupt(b, stop) })

	c := emulatorClient(t, address)
	s := sender(t, c, "q")
	for n := range sessions {
		sending.Go(func() {
			for i := range each {
				sendUntilStored(ctx, t, s, fmt.Sprintf("%d/%d", n, i), fmt.Sprint(n))
			}
		})
	}
	w := &worked{next: map[string]int{}, all: make(chan struct{}), want: sessions * each}
	for range 3 {
		c := emulatorClient(t, address)
		working.Go(func() {
			for ctx.Err() == nil && !w.done() {
				work(ctx, c, w)
			}
		})
	}
	sending.Wait()
	select {
	case <-w.all:
	case <-ctx.Done():
	}
	close(stop)
	disrupting.Wait()
	cancel()
	working.Wait()

	for n := range sessions {
		if got := w.next[fmt.Sprint(n)]; got != each {
			t.Errorf("session %d: %d messages worked, want %d", n, got, each)
		}
	}
	for _, wrong := range w.wrong {
		t.Error(wrong)
	}
	got := b.Counts("q")
	if stored := got.Accepted - got.Duplicates; stored != sessions*each || got.DeadLettered != 0 {
		t.Errorf("counts: %+v, want %d stored", got, sessions*each)
	}
	t.Logf("%+v", got)
}

func emulatorClient(t testing.TB, address string) *azservicebus.Client {
	t.Helper()
	c, err := azservicebus.NewClientFromConnectionString(
		"Endpoint=sb://"+address+";SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true",
		&azservicebus.ClientOptions{RetryOptions: fast})
	must(t, "make a client", err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// disrupt does one harm after the other, for five seconds at most.
func disrupt(b *bus.Broker, stop <-chan struct{}) {
	harms := []func(){b.CutConnections, b.DetachLinks, b.CloseConnections, b.DetachLinks}
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := range 200 {
		select {
		case <-stop:
			return
		case <-tick.C:
			harms[i%len(harms)]()
		}
	}
}

// sendUntilStored repeats a send, under the same id, until it succeeds.
func sendUntilStored(ctx context.Context, t *testing.T, s *azservicebus.Sender, id, in string) {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := s.SendMessage(try, message(id, session(in)), nil)
		cancel()
		if err == nil {
			return
		}
	}
	t.Errorf("%s was never stored", id)
}

// worked is what the workers saw.
type worked struct {
	mu    sync.Mutex
	next  map[string]int // by session: the number of the next message
	count int
	want  int
	wrong []string
	all   chan struct{}
}

// see checks a message: the next of its session, or one seen before (its
// completion was lost).
func (w *worked) see(m *azservicebus.ReceivedMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var in string
	var n int
	if _, err := fmt.Sscanf(string(m.Body), "%1s/%d", &in, &n); err != nil || in != *m.SessionID || n > w.next[in] {
		w.wrong = append(w.wrong, fmt.Sprintf("session %s: got %s, want %d", *m.SessionID, m.Body, w.next[in]))
		return
	}
	if n == w.next[in] {
		w.next[in]++
		if w.count++; w.count == w.want {
			close(w.all)
		}
	}
}

func (w *worked) done() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count >= w.want
}

// work takes a session and works what it finds there.
func work(ctx context.Context, c *azservicebus.Client, w *worked) {
	try, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := c.AcceptNextSessionForQueue(try, "q", nil)
	if err != nil {
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = r.Close(ctx)
	}()
	for {
		wait, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		got, err := r.ReceiveMessages(wait, 1, nil)
		cancel()
		if err != nil || len(got) == 0 {
			return
		}
		w.see(got[0])
		settle, cancel := context.WithTimeout(ctx, 2*time.Second)
		err = r.CompleteMessage(settle, got[0], nil)
		cancel()
		if err != nil {
			return
		}
	}
}
