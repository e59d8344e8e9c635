package store_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"keyless/handler/fault"
	"keyless/handler/store"
)

func TestBlob(t *testing.T) {
	testStore(t, func(t *testing.T) backend {
		config := newContainer(t)
		return backend{
			records: openBlob(t, config),
			env: []string{
				holdEndpoint + "=" + emulator.Endpoint, holdCert + "=" + emulator.CertFile, holdIn + "=" + config.Container,
			},
			frees: testLease,
		}
	})
}

// wire stands between a client and Azurite, notes what passes, and can spoil
// answers.
type wire struct {
	client *http.Client
	// spoil, if set, may put another answer in place of the n-th request's,
	// which Azurite has obeyed.
	spoil func(n int, answer *http.Response) (*http.Response, error)

	mu       sync.Mutex
	requests []string // the method, and what it is about if not the blob itself
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	answer, err := w.client.Do(r)
	w.mu.Lock()
	w.requests = append(w.requests, strings.TrimSpace(r.Method+" "+r.URL.Query().Get("comp")))
	n := len(w.requests)
	w.mu.Unlock()
	if err != nil || w.spoil == nil {
		return answer, err
	}
	return w.spoil(n, answer)
}

// seen returns the requests that passed so far, and forgets them.
func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.requests = nil }()
	return w.requests
}

// openWired returns two stores on one container: the first's requests pass w.
func openWired(t *testing.T, w *wire) (wired, plain *store.Blob) {
	t.Helper()
	config := newContainer(t)
	plain = openBlob(t, config)
	w.client = config.Client.Transport.(*http.Client)
	config.Client.Transport = w
	return openBlob(t, config), plain
}

func TestBlobRoundTrips(t *testing.T) {
	t.Parallel()
	var w wire
	s, _ := openWired(t, &w)
	update := func(data []byte) error {
		return s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { return data, nil })
	}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"create", func() error { return s.Create(t.Context(), key, nil) }, []string{"PUT"}},
		{"get", func() error { _, err := s.Get(t.Context(), key); return err }, []string{"GET"}},
		{"update", func() error { return update([]byte("x")) }, []string{"PUT lease", "GET", "PUT", "PUT lease"}},
		{"update nothing", func() error { return update(nil) }, []string{"PUT lease", "GET", "PUT lease"}},
		{"start", func() error {
			return s.Start(t.Context(), "a/new.json", nil, func(context.Context) ([]byte, error) { return []byte("x"), nil })
		}, []string{"PUT", "PUT lease", "PUT", "PUT lease"}},
		{"remove", func() error {
			return s.Remove(t.Context(), key, func(context.Context) error { return nil })
		}, []string{"PUT lease", "DELETE"}},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := w.seen(); !slices.Equal(got, step.want) {
			t.Errorf("%s: requests %q, want %q", step.name, got, step.want)
		}
	}
}

// Whichever answer gets lost on the way, the request is repeated and comes out
// right, although Azurite had obeyed it the first time.
func TestBlobLostAnswers(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Response) (*http.Response, error){
		"no answer": func(answer *http.Response) (*http.Response, error) {
			_ = answer.Body.Close()
			return nil, io.ErrUnexpectedEOF
		},
		"broken body": func(answer *http.Response) (*http.Response, error) {
			answer.Body = &brokenBody{answer.Body, 2}
			return answer, nil
		},
	} {
		for lost := 1; lost <= 8; lost++ {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := &wire{spoil: func(n int, answer *http.Response) (*http.Response, error) {
					if n == lost {
						return spoil(answer)
					}
					return answer, nil
				}}
				s, plain := openWired(t, w)
				create(t, s, "one")
				wantRecord(t, s, "one")
				add(t, s, " two")
				wantRecord(t, plain, "one two")
				if err := s.Remove(t.Context(), key, func(context.Context) error { return nil }); err != nil {
					t.Error(err)
				}
				_, err := plain.Get(t.Context(), key)
				wantCode(t, err, fault.NotFound, "record_not_found")
			})
		}
	}
}

// brokenBody breaks off after left bytes.
type brokenBody struct {
	io.ReadCloser
	left int
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// A caller that goes while the lease is being taken leaves the record free.
func TestBlobCanceledWhileLocking(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := &wire{spoil: func(n int, answer *http.Response) (*http.Response, error) {
		if n == 2 { // the first creates the record
			cancel()
			return nil, ctx.Err()
		}
		return answer, nil
	}}
	s, plain := openWired(t, w)
	create(t, s, "one")
	if err := s.Update(ctx, key, neverUpdate(t)); !fault.Is(err, fault.Canceled) {
		t.Errorf("got %v, want it canceled", err)
	}
	add(t, plain, "!")
}

// Whoever loses the lease is told so, and cannot write over what the next
// holder wrote.
func TestBlobLostLease(t *testing.T) {
	t.Parallel()
	config := newContainer(t)
	s := openBlob(t, config)
	create(t, s, "one")
	err := s.Update(t.Context(), key, func(ctx context.Context, _ []byte) ([]byte, error) {
		breakLease(t, config)
		add(t, s, " two")
		select {
		case <-ctx.Done():
			wantCode(t, context.Cause(ctx), fault.Conflict, "record_lock_lost")
		case <-time.After(testLease):
			t.Error("ctx did not end when the lease was lost")
		}
		return []byte("mine"), nil
	})
	wantCode(t, err, fault.Conflict, "record_lock_lost")
	wantRecord(t, s, "one two")

	err = s.Remove(t.Context(), key, func(context.Context) error {
		breakLease(t, config)
		return nil
	})
	wantCode(t, err, fault.Conflict, "record_lock_lost")
	wantRecord(t, s, "one two")
}

func breakLease(t *testing.T, config store.BlobConfig) {
	t.Helper()
	client, err := blob.NewClient(config.Endpoint+"/"+config.Container+"/"+key, config.Credential,
		&blob.ClientOptions{ClientOptions: config.Client})
	if err != nil {
		t.Fatal(err)
	}
	l, err := lease.NewBlobClient(client, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.BreakLease(t.Context(), &lease.BlobBreakOptions{BreakPeriod: to.Ptr[int32](0)}); err != nil {
		t.Fatal(err)
	}
}

// Work that only says that its ctx ended is not taken for a caller that went.
func TestBlobLostLeaseIsNamed(t *testing.T) {
	t.Parallel()
	config := newContainer(t)
	s := openBlob(t, config)
	create(t, s, "one")
	err := s.Remove(t.Context(), key, func(ctx context.Context) error {
		breakLease(t, config)
		<-ctx.Done()
		return ctx.Err()
	})
	wantCode(t, err, fault.Conflict, "record_lock_lost")
}

// A lock that is held for longer is renewed, though the caller be gone.
func TestBlobRenews(t *testing.T) {
	t.Parallel()
	renewed := make(chan int, 1)
	w := &wire{spoil: func(n int, answer *http.Response) (*http.Response, error) {
		if n == 4 { // after create, acquire and get
			renewed <- answer.StatusCode
		}
		return answer, nil
	}}
	s, plain := openWired(t, w)
	create(t, s, "one")
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, key, func(_ context.Context, data []byte) ([]byte, error) {
		cancel()
		select {
		case status := <-renewed:
			if status != http.StatusOK {
				t.Errorf("the renewal was answered %d", status)
			}
		case <-time.After(testLease):
			t.Error("the lease was not renewed")
		}
		wantBusy(t, plain)
		return append(data, " two"...), nil
	})
	if err != nil {
		t.Error(err)
	}
	wantRecord(t, s, "one two")
}

func TestBlobConfig(t *testing.T) {
	good := store.BlobConfig{Endpoint: "https://account.blob.core.windows.net"}
	if _, err := store.NewBlob(good); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for code, config := range map[string]store.BlobConfig{
		"storage_endpoint_invalid": {Endpoint: "http://account.blob.core.windows.net"},
		"storage_lease_invalid":    {Endpoint: good.Endpoint, Lease: 14 * time.Second},
	} {
		_, err := store.NewBlob(config)
		wantCode(t, err, fault.Misconfigured, code)
	}
}

func BenchmarkBlobUpdate(b *testing.B) { benchmarkUpdate(b, openBlob(b, newContainer(b))) }
