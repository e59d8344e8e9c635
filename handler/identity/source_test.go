package identity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"keyless/handler/fault"
	"keyless/handler/identity"
	"keyless/handler/localazure"
)

// authority is a credential whose tokens are numbered.
type authority struct {
	life    time.Duration
	refresh time.Duration // 0: says nothing
	takes   time.Duration

	fetches atomic.Int32
	down    atomic.Bool
	claims  atomic.Pointer[string] // of the last request
}

var errDown = errors.New("the authority is down")

func (a *authority) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	n := a.fetches.Add(1)
	a.claims.Store(&opts.Claims)
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return azcore.AccessToken{}, ctx.Err()
	}
	if a.down.Load() {
		return azcore.AccessToken{}, errDown
	}
	now := time.Now()
	token := azcore.AccessToken{Token: fmt.Sprintf("token-%d", n), ExpiresOn: now.Add(a.life)}
	if a.refresh > 0 {
		token.RefreshOn = now.Add(a.refresh)
	}
	return token, nil
}

// expect checks which token the source gives at once, and how many fetches
// there have been when all is quiet.
func expect(t *testing.T, s *identity.Source, a *authority, token string, fetches int32) {
	t.Helper()
	got, err := s.Token(t.Context(), modelScope)
	if err != nil || got != token {
		t.Errorf("got %q, %v; want %q", got, err, token)
	}
	synctest.Wait()
	if n := a.fetches.Load(); n != fetches {
		t.Errorf("%d fetches, want %d", n, fetches)
	}
}

func TestConcurrentFirstCallersShareOneRequest(t *testing.T) {
	endpoint, url := standIn(t)
	endpoint.Faults.Set(localazure.Fault{Delay: 50 * time.Millisecond})
	inAzure(t, url)
	s := newSource(t, newCredential(t, identity.Config{}))
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			if _, err := s.Token(t.Context(), []string{modelScope, sessionScope}[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	for _, resource := range []string{"https://cognitiveservices.azure.com", "https://dynamicsessions.io"} {
		if n := endpoint.Requests(resource); n != 1 {
			t.Errorf("%d requests for %s, want 1", n, resource)
		}
	}
}

// The source is what Azure's clients are given: a pipeline of theirs sends its
// token, and hands on its classified errors.
func TestInAzureClient(t *testing.T) {
	endpoint, url := standIn(t)
	inAzure(t, url)
	s := newSource(t, newCredential(t, identity.Config{}))
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := endpoint.Issuer.Check(r, "https://dynamicsessions.io"); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	call := func(scope string) (*http.Response, error) {
		p := runtime.NewPipeline("test", "v0", runtime.PipelineOptions{
			PerRetry: []policy.Policy{runtime.NewBearerTokenPolicy(s, []string{scope}, nil)},
		}, &policy.ClientOptions{Transport: service.Client()})
		req, err := runtime.NewRequest(t.Context(), http.MethodGet, service.URL)
		if err != nil {
			t.Fatal(err)
		}
		return p.Do(req)
	}
	if resp, err := call(sessionScope); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("got %v, %v", resp, err)
	}
	endpoint.Faults.Set(localazure.Fault{Status: 400})
	_, err := call(modelScope)
	checkFault(t, err, fault.Misconfigured, "identity_missing")
}

// A token is renewed when the authority says, behind the callers' backs.
func TestRenewal(t *testing.T) {
	for name, c := range map[string]struct{ refresh, due time.Duration }{
		"the authority's hint": {40 * time.Minute, 40 * time.Minute},
		"half its life":        {0, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &authority{life: time.Hour, refresh: c.refresh, takes: time.Second}
				s := newSource(t, a)
				if _, err := s.Token(t.Context(), modelScope); err != nil {
					t.Fatal(err)
				}
				<-time.After(c.due - time.Millisecond)
				expect(t, s, a, "token-1", 1)
				<-time.After(2 * time.Millisecond)
				expect(t, s, a, "token-1", 2) // starts the renewal and does not wait
				expect(t, s, a, "token-1", 2)
				<-time.After(2 * time.Second)
				expect(t, s, a, "token-2", 2)
			})
		})
	}
}

// A renewal that fails is tried again, ever less often, and nobody notices
// until the token's end.
func TestFailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour}
		s := newSource(t, a)
		expect(t, s, a, "token-1", 1)
		a.down.Store(true)
		<-time.After(30*time.Minute + time.Second)
		for i, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 8 * time.Minute} {
			expect(t, s, a, "token-1", int32(i)+2)
			<-time.After(pause - time.Second)
			expect(t, s, a, "token-1", int32(i)+2)
			<-time.After(time.Second)
		}
		<-time.After(10 * time.Minute)
		if _, err := s.Token(t.Context(), modelScope); !errors.Is(err, errDown) {
			t.Errorf("after the token's end: %v, want %v", err, errDown)
		}
		a.down.Store(false)
		if _, err := s.Token(t.Context(), modelScope); err != nil {
			t.Error(err)
		}
	})
}

// An authority that gives one token until its end is not asked at each call.
func TestSameTokenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(24 * time.Hour)
		var fetches int
		s := newSource(t, credentialFunc(func() (azcore.AccessToken, error) {
			fetches++
			return azcore.AccessToken{Token: "same", ExpiresOn: ends, RefreshOn: ends.Add(-23 * time.Hour)}, nil
		}))
		for range 24*60 - 2 {
			if _, err := s.Token(t.Context(), modelScope); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			<-time.After(time.Minute)
		}
		if fetches > 16 {
			t.Errorf("%d fetches in a day", fetches)
		}
	})
}

type credentialFunc func() (azcore.AccessToken, error)

func (f credentialFunc) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return f()
}

func TestExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour}
		s := newSource(t, a)
		s.Expire(modelScope, "token-1") // nothing is held yet
		expect(t, s, a, "token-1", 1)
		s.Expire(modelScope, "another")
		expect(t, s, a, "token-1", 1)
		s.Expire(modelScope, "token-1")
		expect(t, s, a, "token-2", 2)
		s.Expire(modelScope, "token-1") // another caller's, too late
		expect(t, s, a, "token-2", 2)
	})
}

// A token that was expired while its renewal was failing stays expired.
func TestExpireDuringRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour}
		s := newSource(t, a)
		expect(t, s, a, "token-1", 1)
		a.down.Store(true)
		a.takes = time.Second
		<-time.After(31 * time.Minute)
		expect(t, s, a, "token-1", 2)
		s.Expire(modelScope, "token-1")
		<-time.After(2 * time.Second)
		if token, err := s.Token(t.Context(), modelScope); err == nil {
			t.Errorf("got %q", token)
		}
	})
}

func TestWarmDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour, takes: 5 * time.Second}
		s := newSource(t, a)
		began := time.Now()
		s.Warm(modelScope, sessionScope)
		if took := time.Since(began); took != 0 {
			t.Errorf("Warm took %v", took)
		}
		<-time.After(2 * time.Second)
		if _, err := s.Token(t.Context(), modelScope); err != nil || a.fetches.Load() != 2 {
			t.Errorf("%v after %d fetches, want 2", err, a.fetches.Load())
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the caller waited until %v, want the fetch that was under way at 5s", took)
		}
	})
}

// Callers that give up leave at once; the fetch goes on for the others.
func TestWaitObeysContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour, takes: 5 * time.Second}
		s := newSource(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.Token(ctx, modelScope); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("left after %v", took)
		}
		expect(t, s, a, "token-1", 1)
	})
}

// Close ends a fetch; a goroutine left over would fail the test.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour, takes: time.Hour}
		s := identity.NewSource(a, slog.New(slog.DiscardHandler))
		s.Warm(modelScope)
		synctest.Wait()
		s.Close()
		if _, err := s.Token(t.Context(), modelScope); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, &authority{takes: time.Hour})
		began := time.Now()
		if _, err := s.Token(t.Context(), modelScope); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A challenge's claims reach the credential, and what comes is not kept.
func TestClaimsPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{life: time.Hour}
		s := newSource(t, a)
		expect(t, s, a, "token-1", 1)
		token, err := s.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{modelScope}, Claims: `{"a":1}`})
		if err != nil || token.Token != "token-2" || *a.claims.Load() != `{"a":1}` {
			t.Errorf("got %q, %v for claims %q", token.Token, err, *a.claims.Load())
		}
		expect(t, s, a, "token-1", 2)
	})
}

// The log tells of an audience's first token, and never holds a token.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		a := &authority{life: time.Hour, takes: time.Second}
		s := identity.NewSource(a, slog.New(slog.NewTextHandler(&out, nil)))
		defer s.Close()
		if _, err := s.Token(t.Context(), modelScope); err != nil {
			t.Fatal(err)
		}
		s.Expire(modelScope, "token-1")
		if _, err := s.Token(t.Context(), modelScope); err != nil {
			t.Fatal(err)
		}
		a.down.Store(true)
		s.Expire(modelScope, "token-2")
		if _, err := s.Token(t.Context(), modelScope); err == nil {
			t.Fatal("no error")
		}
		log := out.String()
		for text, want := range map[string]int{
			"level=INFO": 1, "level=WARN": 1, "audience=https://cognitiveservices.azure.com": 2, "ms=1000": 2,
			errDown.Error(): 1, "token-1": 0, "token-2": 0,
		} {
			if n := strings.Count(log, text); n != want {
				t.Errorf("%q is %d times in the log, want %d:\n%s", text, n, want, log)
			}
		}
	})
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	s := newSource(t, &authority{life: time.Hour})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Token(ctx, modelScope) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func BenchmarkToken(b *testing.B) {
	s := identity.NewSource(&authority{life: time.Hour}, slog.New(slog.DiscardHandler))
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Token(b.Context(), modelScope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenParallel(b *testing.B) {
	s := identity.NewSource(&authority{life: time.Hour}, slog.New(slog.DiscardHandler))
	defer s.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Token(b.Context(), modelScope); err != nil {
				b.Error(err)
			}
		}
	})
}
