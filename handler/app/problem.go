package app

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"keyless/handler/fault"
	"keyless/handler/host"
)

// statuses says each kind of error in HTTP. 499 is the custom for a caller
// that went away; it is for the log, nobody reads it.
var statuses = map[fault.Kind]int{
	fault.Internal:        http.StatusInternalServerError,
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.TooLarge:        http.StatusRequestEntityTooLarge,
	fault.Unsupported:     http.StatusUnsupportedMediaType,
	fault.Method:          http.StatusMethodNotAllowed,
	fault.NotFound:        http.StatusNotFound,
	fault.Conflict:        http.StatusConflict,
	fault.Refused:         http.StatusUnprocessableEntity,
	fault.Throttled:       http.StatusTooManyRequests,
	fault.Denied:          http.StatusBadGateway,
	fault.Misconfigured:   http.StatusBadGateway,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Deadline:        http.StatusGatewayTimeout,
	fault.Canceled:        499,
}

// problem is an error as a caller reads it (RFC 9457).
type problem struct {
	Title        string `json:"title"`
	Status       int    `json:"status"`
	Code         string `json:"code"`
	Detail       string `json:"detail"`
	InvocationID string `json:"invocation_id"`
	// RetryAfter is in seconds, as in the header.
	RetryAfter int    `json:"retry_after,omitempty"`
	UpstreamID string `json:"upstream_request_id,omitempty"`
	// Turn is what was done before the error, if anything was.
	Turn any `json:"turn,omitempty"`
}

func problemOf(err error, c host.Call) problem {
	e := fault.From(err)
	p := problem{Status: statuses[e.Kind], Code: e.Code, Detail: e.Message, InvocationID: c.InvocationID, UpstreamID: e.UpstreamID}
	if p.Title = http.StatusText(p.Status); p.Title == "" {
		p.Title = "Request canceled"
	}
	if e.RetryAfter > 0 {
		p.RetryAfter = int((e.RetryAfter + time.Second - 1) / time.Second)
	}
	return p
}

func (p problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may have gone
}
