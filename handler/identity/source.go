package identity

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"golang.org/x/sync/singleflight"
)

// fetchTimeout bounds one fetch, retries included.
const fetchTimeout = 12 * time.Second

// Source keeps one token an audience. Whatever the number of callers, one
// request an audience is under way at a time; a token is renewed in the
// background once it is due, while callers go on with the one at hand; a wait
// ends with its context. There is no goroutine between fetches: the first call
// that finds a token due starts its renewal, so an audience that nobody uses
// costs nothing.
//
// It is an [azcore.TokenCredential], to be given to Azure's clients. It is safe
// for concurrent use.
type Source struct {
	cred    azcore.TokenCredential
	log     *slog.Logger
	life    context.Context // ends at Close; every fetch's parent
	end     context.CancelFunc
	fetches singleflight.Group // by scope

	mu   sync.RWMutex
	held map[string]*held // by scope
}

var _ azcore.TokenCredential = (*Source)(nil)

// NewSource returns a source of cred's tokens. It logs the first token of each
// audience and every fetch that fails.
func NewSource(cred azcore.TokenCredential, log *slog.Logger) *Source {
	life, end := context.WithCancel(context.Background())
	return &Source{cred: cred, log: log, life: life, end: end, held: map[string]*held{}}
}

// Close ends the fetches that are under way, and with them their goroutines.
// Tokens at hand are still given out; a call that would have to fetch fails.
func (s *Source) Close() { s.end() }

// Token returns a token for scope, such as https://dynamicsessions.io/.default.
// It waits only where there is none at hand that is still good, for at most
// 12 seconds. Its errors are the credential's, or ctx's.
func (s *Source) Token(ctx context.Context, scope string) (string, error) {
	h, err := s.get(ctx, scope)
	if err != nil {
		return "", err
	}
	return h.Token, nil
}

// GetToken implements [azcore.TokenCredential]. A request with claims answers a
// service's challenge (Continuous Access Evaluation) and goes to the credential
// itself, as does one for a tenant; neither is kept. EnableCAE is passed over:
// callers of Token could not answer a challenge, and share the tokens.
func (s *Source) GetToken(ctx context.Context, opts policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(opts.Scopes) != 1 || opts.Claims != "" || opts.TenantID != "" {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		return s.cred.GetToken(ctx, opts)
	}
	h, err := s.get(ctx, opts.Scopes[0])
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return h.AccessToken, nil
}

// Warm starts fetching tokens for scopes and does not wait for them. Called as
// the process starts, it takes the first token's second or more off the first
// request. What fails is logged, and the next call tries anew.
func (s *Source) Warm(scopes ...string) {
	for _, scope := range scopes {
		s.start(scope)
	}
}

// Expire drops token, which a service has refused although it should still be
// good, so that the next call fetches another. It does nothing if a newer one
// is at hand already: of many callers whom the service refused, one expires it.
// The identity endpoint has a cache of its own and may give the same token
// again, so a caller should try once more, not more often.
func (s *Source) Expire(scope, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.held[scope]; h != nil && h.Token == token {
		s.held[scope] = &held{}
	}
}

// get returns the token at hand, or the one that it waits for.
func (s *Source) get(ctx context.Context, scope string) (*held, error) {
	h, now := s.at(scope), time.Now()
	if h.fresh(now) {
		return h, nil
	}
	if h.good(now) {
		if h.renewing.CompareAndSwap(false, true) {
			s.start(scope)
		}
		return h, nil
	}
	select {
	case r := <-s.start(scope):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*held), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a token for %s: %w", audienceOf(scope), ctx.Err())
	}
}

// at returns what is held for scope, or nil.
func (s *Source) at(scope string) *held {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.held[scope]
}

// start fetches a token in the background, or joins the fetch under way.
func (s *Source) start(scope string) <-chan singleflight.Result {
	return s.fetches.DoChan(scope, func() (any, error) {
		before := s.at(scope)
		if before.fresh(time.Now()) {
			return before, nil // the caller had looked just before another's fetch ended
		}
		after, err := s.fetch(scope)
		if err != nil {
			s.replace(scope, before, before.postponed(time.Now()))
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held[scope] = after
		return after, nil
	})
}

// replace puts after in the place of before, unless something else is there
// by now.
func (s *Source) replace(scope string, before, after *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after != nil && s.held[scope] == before {
		s.held[scope] = after
	}
}

// fetch asks the credential for a token.
func (s *Source) fetch(scope string) (*held, error) {
	ctx, cancel := context.WithTimeout(s.life, fetchTimeout)
	defer cancel()
	began := time.Now()
	token, err := s.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	now := time.Now()
	log := s.log.With("audience", audienceOf(scope), "ms", now.Sub(began).Milliseconds())
	switch {
	case err != nil && s.life.Err() != nil:
		return nil, fmt.Errorf("the token source is closed: %w", err)
	case err != nil:
		log.Warn("no token", "error", err)
		return nil, err
	case s.at(scope) == nil:
		log.Info("first token", "expires", token.ExpiresOn)
	}
	return hold(token, now), nil
}
