package identity

import (
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// held is a token with the times at which something is to be done about it.
// They are wall-clock times: the monotonic clock of a frozen instance may have
// stood still. A nil or zero held is a token that is no good.
type held struct {
	azcore.AccessToken
	due      time.Time   // from now on it should be renewed
	until    time.Time   // from now on it must not be used
	failures int         // how many renewals have failed
	renewing atomic.Bool // somebody has started the renewal
}

// hold returns what to keep of a token that came at now. It is due when the
// authority says, or else at half its life, and is given out until a minute
// before its end (less for a short life), so that it is still good when it
// reaches the service.
func hold(token azcore.AccessToken, now time.Time) *held {
	now = now.Round(0) // wall clock
	life := token.ExpiresOn.Sub(now)
	h := &held{AccessToken: token, due: token.RefreshOn, until: token.ExpiresOn.Add(-min(time.Minute, life/10))}
	if !h.due.After(now) {
		h.due = now.Add(life / 2)
	}
	return h
}

// fresh reports whether there is nothing to do about the token.
func (h *held) fresh(now time.Time) bool { return h != nil && now.Before(h.due) && now.Before(h.until) }

// good reports whether the token may be used.
func (h *held) good(now time.Time) bool { return h != nil && now.Before(h.until) }

// postponed returns the same token, due again after a pause that doubles from
// 30 seconds to 8 minutes. It returns nil for a token that is no good.
func (h *held) postponed(now time.Time) *held {
	if !h.good(now) {
		return nil
	}
	pause := 30 * time.Second << min(h.failures, 4)
	return &held{AccessToken: h.AccessToken, until: h.until, due: now.Round(0).Add(pause), failures: h.failures + 1}
}
