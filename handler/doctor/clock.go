package doctor

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// clock compares our time with that of a service, by the Date header of its
// answers.
type clock struct {
	now func() time.Time

	mu     sync.Mutex
	behind time.Duration // of ours, behind the service's; negative: ahead
}

type clockKey struct{}

// watch returns a context whose answers over [WatchDates] are looked at.
func (c *clock) watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, clockKey{}, c)
}

// WatchDates returns next, such that a check sees the Date of each answer to
// its call. Other requests pass as they are.
func WatchDates(next http.RoundTripper) http.RoundTripper { return dateWatcher{next} }

type dateWatcher struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (d dateWatcher) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := d.next.RoundTrip(r)
	if c, ok := r.Context().Value(clockKey{}).(*clock); ok && err == nil {
		c.see(res.Header.Get("Date"))
	}
	return res, err
}

func (c *clock) see(date string) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = at.Sub(c.now())
}

// tolerance is how far apart clocks may be before tokens are refused for it:
// services allow five minutes (RFC 7519 leaves it to them; Entra's libraries,
// ClockSkew).
const tolerance = 5 * time.Minute

// skew returns how far our clock is behind, or 0 if it is right as far as is
// known. A token from the future tells as well as a Date does.
func (c *clock) skew(t *Token) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	behind := c.behind
	if t != nil && !t.issued.IsZero() {
		behind = max(behind, t.issued.Sub(c.now()))
	}
	if behind.Abs() < tolerance {
		return 0
	}
	return behind.Round(time.Second)
}
