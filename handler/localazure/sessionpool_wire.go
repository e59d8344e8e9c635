package localazure

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"keyless/handler/localazure/python"
)

const (
	maxPoolRun   = 220 * time.Second // the service's, whatever is asked for
	poolChars    = 4096              // of a stream, if nothing is asked for
	maxPoolChars = 1 << 20           // ours; the service's is not known
	maxPoolBody  = 8 << 20           // ours, in bytes; the service's is not known
)

// poolRequest is code to run.
type poolRequest struct {
	code     string
	timeout  time.Duration
	maxChars int
}

// readPoolRequest reads the body of POST /executions.
func readPoolRequest(w http.ResponseWriter, r *http.Request) (*poolRequest, *poolError) {
	var b struct {
		Properties     json.RawMessage // the shape before 2024-10-02-preview
		CodeInputType  string
		ExecutionType  string
		Code           *string
		Timeout        *int `json:"timeoutInSeconds"`
		MaxStreamChars int  `json:"outputStreamsMaxLength"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPoolBody)).Decode(&b)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, poolFault(http.StatusRequestEntityTooLarge)
	}
	switch {
	case err != nil:
		return nil, poolInvalid("body", "The request's body is not valid JSON.")
	case b.Properties != nil:
		return nil, &poolError{http.StatusBadRequest, "SessionPropertiesMissing", "The request's body lacks the execution's properties.", "properties"}
	case b.Code == nil:
		return nil, poolInvalid("code", "`Code` field is required in the request")
	case b.Timeout != nil && *b.Timeout <= 0:
		return nil, poolInvalid("timeoutInSeconds", "The timeout must be positive.")
	case b.MaxStreamChars < 0:
		return nil, poolInvalid("outputStreamsMaxLength", "The length must not be negative.")
	case !strings.EqualFold(b.ExecutionType, "Synchronous"):
		return nil, &poolError{http.StatusBadRequest, "SessionRequestNotSupported", "Only synchronous executions are supported.", "executionType"}
	}
	q := &poolRequest{code: *b.Code, timeout: maxPoolRun, maxChars: poolChars}
	if b.Timeout != nil {
		q.timeout = time.Duration(min(*b.Timeout, int(maxPoolRun/time.Second))) * time.Second
	}
	if b.MaxStreamChars > 0 {
		q.maxChars = min(b.MaxStreamChars, maxPoolChars)
	}
	return q, q.decode(b.CodeInputType)
}

// decode takes the code out of the form in which it was sent.
func (q *poolRequest) decode(inputType string) *poolError {
	switch strings.ToLower(inputType) {
	case "inline", "inlinetext":
		return nil
	case "inlinebase64":
		code, err := base64.StdEncoding.DecodeString(q.code)
		if err != nil {
			return poolInvalid("code", "The code is not valid base64.")
		}
		q.code = string(code)
		return nil
	}
	return poolInvalid("codeInputType", "The input type is not one of Inline, InlineText and InlineBase64.")
}

// poolExecution is an execution's wire form.
type poolExecution struct {
	Ref           string     `json:"$id"`
	ID            string     `json:"id"`
	Identifier    string     `json:"identifier"`
	ExecutionType string     `json:"executionType"`
	Status        string     `json:"status"`
	Result        poolResult `json:"result"`
}

type poolResult struct {
	Ref    string          `json:"$id"`
	Stdout string          `json:"stdout"`
	Stderr string          `json:"stderr"`
	Value  json.RawMessage `json:"executionResult"`
	Millis int             `json:"executionTimeInMilliseconds"`
}

// newPoolExecution returns what came of q. Streams are cut without a mark.
func newPoolExecution(id, identifier string, q *poolRequest, o python.Outcome) poolExecution {
	if id == "" {
		id = newID("")
	}
	status, stderr := settle(o, q.timeout)
	return poolExecution{Ref: "1", ID: id, Identifier: identifier, ExecutionType: "Synchronous", Status: status,
		Result: poolResult{Ref: "2", Stdout: cut(o.Stdout, q.maxChars), Stderr: cut(stderr, q.maxChars),
			Value: encodeValue(o.Value), Millis: int(o.Duration.Milliseconds())}}
}

// poolError is an error as the pool answers it.
type poolError struct {
	status                int
	code, message, target string
}

// poolFault is an error of which nothing but the status is known. A 401 has no
// body.
func poolFault(status int) *poolError {
	return &poolError{status: status, code: strings.ReplaceAll(http.StatusText(status), " ", "")}
}

func poolInvalid(target, message string) *poolError {
	return &poolError{http.StatusBadRequest, "SessionRequestValidationFailed", message, target}
}

func poolGone() *poolError {
	return &poolError{http.StatusBadRequest, "SessionWithIdentifierNotFound", "There is no session with this identifier.", "identifier"}
}

// poolBroken is for trouble with the stand-in itself.
func poolBroken(err error) *poolError {
	return &poolError{http.StatusInternalServerError, "InternalServerError", err.Error(), ""}
}

func (e poolError) body() string {
	if e.status == http.StatusUnauthorized {
		return ""
	}
	fields := map[string]string{"code": e.code, "message": e.message, "traceId": newID("")}
	if e.target != "" {
		fields["target"] = e.target
	}
	text, _ := json.Marshal(map[string]any{"error": fields}) // strings always have a JSON form
	return string(text)
}

func (e poolError) write(w http.ResponseWriter) {
	body := e.body()
	if body != "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("x-ms-error-code", e.code)
	}
	w.WriteHeader(e.status)
	_, _ = w.Write([]byte(body))
}

func writePoolJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the only failure is that the caller is gone
}
