package llm

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai/openai-go/v3/responses"

	"keyless/handler/fault"
)

// The codes of this package's faults.
const (
	codeFiltered         = "content_filtered"
	codeTooLong          = "context_too_long"
	codeUnauthorized     = "model_unauthorized"
	codeForbidden        = "model_forbidden"
	codeNotFound         = "model_not_found"
	codeRejected         = "model_rejected_request"
	codeNoReasoning      = "model_without_reasoning"
	codeForeignReasoning = "model_foreign_reasoning"
	codeThrottled        = "model_throttled"
	codeUnavailable      = "model_unavailable"
	codeUnreachable      = "model_unreachable"
	codeFailed           = "model_failed"
	codeCut              = "model_stream_cut"
	codeUnreadable       = "model_answer_unreadable"
)

// problem is the service's own account of an error: in an error body, in a
// stream's error event, or in a failed answer. Its message may repeat what was
// sent, so Error leaves it out.
type problem struct {
	Code    code
	Message string
	Param   string
	Filters []contentFilter `json:"content_filters"` // in the Responses API
	Inner   contentFilter   `json:"innererror"`      // in older bodies
}

func (p *problem) Error() string { return "the service reports " + strconv.Quote(string(p.Code)) }

// code is a string, or now and then a number.
type code string

func (c *code) UnmarshalJSON(data []byte) error {
	if s := strings.Trim(string(data), `"`); s != "null" {
		*c = code(s)
	}
	return nil
}

// contentFilter is what Azure's content filter found, by category
// (learn.microsoft.com, "Content filtering", annotations).
type contentFilter struct {
	Results map[string]json.RawMessage `json:"content_filter_results"`
	Result  map[string]json.RawMessage `json:"content_filter_result"`
}

// unreadableError is an answer that is not what the API promises.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return "read the model's answer: " + e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// classify says what err means, met in asking the model; res is the response
// it came with, or nil. The context's own errors stay what they are.
func (m *Model) classify(ctx context.Context, err error, res *http.Response) error {
	f := m.diagnose(ctx, err, res)
	if f == nil {
		return fmt.Errorf("ask the model: %w", ctx.Err())
	}
	if res != nil {
		f.UpstreamID = cmp.Or(res.Header.Get("Apim-Request-Id"), res.Header.Get("X-Request-Id"))
		if f.Kind == fault.Throttled || f.Kind == fault.Unavailable {
			f.RetryAfter = retryAfter(res.Header, time.Now())
		}
	}
	return f.Because(err)
}

// diagnose is the one place where an error gets its kind. It returns nil for
// the context's own.
func (m *Model) diagnose(ctx context.Context, err error, res *http.Response) *fault.Error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil
	case res != nil && res.StatusCode >= http.StatusBadRequest:
		// Also where time ran out while the SDK waited to try again: the
		// caller should learn of the refusal that it waited for.
		return m.refusal(err, res.StatusCode)
	case ctx.Err() != nil:
		return nil
	case res == nil:
		return m.unreachable(err)
	}
	return m.spoiled(err)
}

// spoiled classifies an answer that began well.
func (m *Model) spoiled(err error) *fault.Error {
	if p, ok := errors.AsType[*problem](err); ok {
		return m.reported(p)
	}
	if _, ok := errors.AsType[*unreadableError](err); ok {
		return fault.New(fault.Unavailable, codeUnreadable, "What answered at %s is not the Responses API, or its answer is damaged. "+
			"If it happens each time, check the Azure OpenAI endpoint.", m.host)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, bufio.ErrTooLong) {
		return fault.New(fault.Unavailable, codeUnreadable, "The model's answer is larger than this program accepts (%d MiB). Ask for less at a time.", maxAnswer>>20)
	}
	return fault.New(fault.Unavailable, codeCut, "The model's answer broke off before its end. Try again.")
}

// unreachable classifies an exchange without a response.
func (m *Model) unreachable(err error) *fault.Error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return fault.New(fault.Misconfigured, codeNotFound, "There is no host %s. Check the Azure OpenAI endpoint.", m.host)
	}
	return fault.New(fault.Unavailable, codeUnreachable, "Azure OpenAI at %s cannot be reached. Try again; if it goes on, check the endpoint and its network rules.", m.host)
}

// refusal classifies an error status.
func (m *Model) refusal(err error, status int) *fault.Error {
	p := &problem{}
	if api, ok := errors.AsType[*responses.Error](err); ok {
		_ = json.Unmarshal([]byte(api.RawJSON()), p) // the status tells enough
	}
	if f := m.byCode(p); f != nil {
		return f
	}
	return m.byStatus(p, status)
}

// reported classifies what the service itself said within an answer.
func (m *Model) reported(p *problem) *fault.Error {
	if f := m.byCode(p); f != nil {
		return f
	}
	if status, err := strconv.Atoi(string(p.Code)); err == nil && status >= http.StatusBadRequest {
		return m.byStatus(p, status)
	}
	return fault.New(fault.Unavailable, codeFailed, "The model failed while it was answering. Try again.")
}

// byCode knows the codes that say more than the status beside them. It returns
// nil for any other.
func (m *Model) byCode(p *problem) *fault.Error {
	switch p.Code {
	case "content_filter", "ResponsibleAIPolicyViolation", "invalid_prompt":
		return fault.New(fault.Refused, codeFiltered, "Azure OpenAI's content filter stopped this request%s. Put it in other words.", p.categories())
	case "context_length_exceeded", "string_above_max_length":
		return fault.New(fault.TooLarge, codeTooLong, "The conversation is longer than the model can read. Start a new one, or send less at a time.")
	case "invalid_encrypted_content":
		return fault.New(fault.Misconfigured, codeForeignReasoning, "The deployment %q cannot read what another model has left in this conversation. Start a new one.", m.Deployment)
	case "PermissionDenied":
		return m.forbidden()
	case "rate_limit_exceeded", "too_many_requests":
		return m.throttled()
	}
	return nil
}

// byStatus classifies by HTTP status.
func (m *Model) byStatus(p *problem, status int) *fault.Error {
	switch {
	case status == http.StatusUnauthorized:
		return fault.New(fault.Denied, codeUnauthorized, "Azure OpenAI at %s did not accept our token. Check that the token is for the "+
			"audience https://cognitiveservices.azure.com, that the identity is of the resource's tenant, and that the endpoint is the resource's own.", m.host)
	case status == http.StatusForbidden:
		return m.forbidden()
	case status == http.StatusNotFound:
		return fault.New(fault.Misconfigured, codeNotFound, "Azure OpenAI at %s has no deployment %q, or does not offer the v1 Responses API. "+
			"Check both settings; a new deployment needs up to five minutes.", m.host, m.Deployment)
	case status == http.StatusTooManyRequests:
		return m.throttled()
	case status == http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, codeTooLong, "The request is larger than Azure OpenAI accepts. Start a new conversation, or send less at a time.")
	case status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusFailedDependency || status >= 500:
		return fault.New(fault.Unavailable, codeUnavailable, "Azure OpenAI at %s is not available (status %d). Try again later.", m.host, status)
	case status == http.StatusBadRequest && p.Param == "include":
		return fault.New(fault.Misconfigured, codeNoReasoning, "The deployment %q has no encrypted reasoning.", m.Deployment)
	}
	return fault.New(fault.Misconfigured, codeRejected, "The deployment %q does not accept our request (status %d)%s. "+
		"It may be of a model that cannot call tools over the Responses API.", m.Deployment, status, p.quoted())
}

func (m *Model) throttled() *fault.Error {
	return fault.New(fault.Throttled, codeThrottled, "The deployment %q has used up its quota for now. Wait and try again, or raise its tokens per minute.", m.Deployment)
}

func (m *Model) forbidden() *fault.Error {
	return fault.New(fault.Denied, codeForbidden, "Our identity may not use Azure OpenAI at %s. Give it the role \"Cognitive Services OpenAI User\" "+
		"on the resource (that takes some minutes to work), and check the resource's network rules.", m.host)
}

// maxQuoted bounds how much of the service's message is shown, in bytes.
const maxQuoted = 300

// quoted returns the service's message about a request that it finds
// malformed: it is about our parameters, and an operator needs it.
func (p *problem) quoted() string {
	if p.Message == "" {
		return ""
	}
	return ": " + strings.ToValidUTF8(p.Message[:min(len(p.Message), maxQuoted)], "")
}

// categories names what the content filter objected to, if it says so.
func (p *problem) categories() string {
	found := map[string]bool{}
	for _, filter := range append(p.Filters, p.Inner) {
		maps.Copy(found, filtered(filter.Results))
		maps.Copy(found, filtered(filter.Result))
	}
	if len(found) == 0 {
		return ""
	}
	return " (" + strings.Join(slices.Sorted(maps.Keys(found)), ", ") + ")"
}

// filtered returns the categories that were acted upon. A category may have a
// shape of its own; one that is not understood is passed over.
func filtered(results map[string]json.RawMessage) map[string]bool {
	found := map[string]bool{}
	for category, raw := range results {
		var result struct{ Filtered bool }
		if json.Unmarshal(raw, &result) == nil && result.Filtered {
			found[category] = true
		}
	}
	return found
}

// retryAfter reads how long to wait: Azure sends milliseconds beside the
// standard header's seconds or date. It is 0 where nothing usable is said.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return wait(ms, time.Millisecond)
	}
	value := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(value, 64); err == nil && s > 0 {
		return wait(s, time.Second)
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// maxWait is the longest wait that is passed on; old quotas ask for a day.
const maxWait = 24 * time.Hour

func wait(n float64, unit time.Duration) time.Duration {
	return time.Duration(min(n*float64(unit), float64(maxWait)))
}
