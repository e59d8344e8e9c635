package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"keyless/handler/fault"
)

// explain classifies err, which came of asking for a token by opts. azidentity
// tells two sorts apart: an AuthenticationFailedError is a credential that was
// asked and failed, with the answer if there was one; anything else is that no
// credential could be asked. It does not hand on the context's errors.
func (p place) explain(ctx context.Context, opts policy.TokenRequestOptions, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("ask for a token: %w", ctx.Err())
	}
	audience := audienceOf(strings.Join(opts.Scopes, " "))
	failed, asked := errors.AsType[*azidentity.AuthenticationFailedError](err)
	switch {
	case asked && failed.RawResponse != nil:
		return p.refused(audience, failed.RawResponse).Because(err)
	case ctx.Err() != nil:
		return p.failed(fault.Unavailable, "No token for %s: %s did not answer in time.", audience, p.issuer()).Because(err)
	case asked || p.managed && p.endpoint:
		return p.failed(fault.Unavailable, "No token for %s: %s could not be reached, or its answer made no sense.", audience, p.issuer()).Because(err)
	case p.managed:
		return p.failed(fault.Misconfigured, "No token for %s: this machine has no managed identity.", audience).Because(err)
	}
	return p.failed(fault.Misconfigured, "No token for %s: not signed in to Azure.", audience).Because(err)
}

// refused classifies an answer other than a token.
func (p place) refused(audience string, resp *http.Response) *fault.Error {
	kind := fault.Misconfigured
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		kind = fault.Throttled
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		kind = fault.Denied
	case status >= 500:
		kind = fault.Unavailable
	}
	said := readRefusal(resp)
	e := p.failed(kind, "No token for %s: %s answered HTTP %d%s.", audience, p.issuer(), resp.StatusCode, said.text)
	e.UpstreamID, e.RetryAfter = said.id, said.retryAfter
	return e
}

// failed says what happened and what an operator can do about it.
func (p place) failed(kind fault.Kind, format string, args ...any) *fault.Error {
	text := strings.TrimSpace(fmt.Sprintf(format, args...) + " " + p.advice())
	return fault.New(kind, codeOf(kind), "%s", text)
}

// codeOf returns the code that goes with each kind of failure.
func codeOf(kind fault.Kind) string {
	switch kind {
	case fault.Denied:
		return "identity_denied"
	case fault.Throttled:
		return "identity_throttled"
	case fault.Unavailable:
		return "identity_unavailable"
	}
	return "identity_missing"
}

// refusal is what the identity endpoint or Entra ID says in place of a token.
type refusal struct {
	text       string // ": " and its sentence, without the full stop; or empty
	id         string // of the request, for a support case
	retryAfter time.Duration
}

// refusalText bounds the foreign text in a message, in bytes.
const refusalText = 300

// readRefusal takes what is of use from a refusal. App Service answers with
// message and correlationId, Entra ID and the metadata service with the other
// two (learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).
func readRefusal(resp *http.Response) refusal {
	var body struct {
		Message          string `json:"message"`
		CorrelationID    string `json:"correlationId"`
		ErrorDescription string `json:"error_description"`
		EntraID          string `json:"correlation_id"`
	}
	// A body that cannot be read or decoded says nothing; the status remains.
	if payload, err := runtime.Payload(resp); err == nil {
		_ = json.Unmarshal(payload, &body)
	}
	text := strings.Join(strings.Fields(cmp.Or(body.Message, body.ErrorDescription)), " ")
	if len(text) > refusalText {
		text = strings.ToValidUTF8(text[:refusalText], "") + "…"
	}
	if text = strings.TrimRight(text, "."); text != "" {
		text = ": " + text
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return refusal{
		text:       text,
		id:         cmp.Or(body.CorrelationID, body.EntraID),
		retryAfter: time.Duration(min(max(seconds, 0), 3600)) * time.Second,
	}
}

// audienceOf returns what a token of scope is for.
func audienceOf(scope string) string { return strings.TrimSuffix(scope, "/.default") }
