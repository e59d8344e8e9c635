package sessions

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// retryIf returns ctx with azcore's retries for one call limited to what
// again allows. Left alone, azcore repeats a POST after a 500 or a lost
// connection, and would run code twice. Its delays and counts stay as they
// are set in [Options]; its limit for one try does not, since each call here
// has its own.
func (c *Client) retryIf(ctx context.Context, again func(*http.Response, error) bool) context.Context {
	o := c.retry
	o.TryTimeout = 0
	o.ShouldRetry = func(resp *http.Response, err error) bool {
		return again(resp, err) && inTime(ctx, resp)
	}
	return policy.WithRetryOptions(ctx, o)
}

// inTime reports whether the service's Retry-After ends before ctx does. If it
// does not, its answer is worth more now than an expired context later.
func inTime(ctx context.Context, resp *http.Response) bool {
	deadline, ok := ctx.Deadline()
	return !ok || resp == nil || retryAfter(resp.Header) < time.Until(deadline)
}

// declined reports whether the service certainly did not do what it was asked
// to. A 503 counts only with a Retry-After: the service's ingress answers 503
// without one when it loses a connection on which the code may be running.
func declined(resp *http.Response, err error) bool {
	if err != nil {
		op, ok := errors.AsType[*net.OpError](err)
		return ok && op.Op == "dial"
	}
	return resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != ""
}

// transient reports whether an operation that may be repeated at will should be.
func transient(resp *http.Response, err error) bool {
	return err != nil || slices.Contains([]int{408, 429, 500, 502, 503, 504}, resp.StatusCode)
}

// retryAfter reads Retry-After, in seconds or as a date; zero if there is none.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
