package localazure

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

const (
	maxPoolRun   = 220 * time.Second // the service's, whatever is asked for
	poolChars    = 4096              // of a stream, if nothing is asked for
	maxPoolChars = 1 << 20           // ours; the service's is not known
	maxPoolBody  = 8 << 20           // ours, in bytes; the service's is not known
	maxPoolCode  = 2 << 20           // the interpreter's, in bytes; the service's is not known
)

// poolRequest is code to run.
type poolRequest struct {
	code     string
	async    bool
	timeout  time.Duration
	maxChars int
}

// poolRequestFields are those of an execution, in any version's shape. Some
// clients send the identifier too; it is the query's that counts.
type poolRequestFields struct {
	CodeInputType  string
	ExecutionType  string
	Code           *string
	Timeout        *int `json:"timeoutInSeconds"`
	MaxStreamChars int  `json:"outputStreamsMaxLength"`
}

// readPoolRequest reads the body of an execution.
func readPoolRequest(c *poolCall) (*poolRequest, *poolError) {
	var b struct {
		poolRequestFields
		Properties         *poolRequestFields // around the fields, in the nested shape
		ShellCommand       json.RawMessage    // of another kind of pool, as is the next
		ExecCommandAndArgs json.RawMessage
	}
	err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxPoolBody)).Decode(&b)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, poolFault(http.StatusRequestEntityTooLarge)
	}
	switch {
	case err != nil:
		return nil, poolInvalid("body", "The request's body is not valid JSON.")
	case c.version.nested != (b.Properties != nil), b.ShellCommand != nil, b.ExecCommandAndArgs != nil:
		return nil, poolOtherShape()
	case c.version.nested:
		return b.Properties.request(c.version)
	}
	return b.poolRequestFields.request(c.version)
}

// request checks the fields.
func (f *poolRequestFields) request(v poolVersion) (*poolRequest, *poolError) {
	q := &poolRequest{timeout: maxPoolRun, maxChars: poolChars, async: strings.EqualFold(f.ExecutionType, "Asynchronous")}
	switch {
	case f.Code == nil:
		return nil, poolInvalid("code", "`Code` field is required in the request")
	case f.Timeout != nil && *f.Timeout <= 0:
		return nil, poolInvalid("timeoutInSeconds", "The timeout must be positive.")
	case f.MaxStreamChars < 0:
		return nil, poolInvalid("outputStreamsMaxLength", "The length must not be negative.")
	case !q.async && !strings.EqualFold(f.ExecutionType, "Synchronous"):
		return nil, poolInvalid("executionType", "The execution type is not one of Synchronous and Asynchronous.")
	case q.async && v.nested:
		return nil, poolUnsupported("executionType", "This api-version has no operation to get an execution.")
	}
	if f.Timeout != nil {
		q.timeout = time.Duration(min(*f.Timeout, int(maxPoolRun/time.Second))) * time.Second
	}
	if f.MaxStreamChars > 0 {
		q.maxChars = min(f.MaxStreamChars, maxPoolChars)
	}
	return q, q.decode(*f.Code, f.CodeInputType)
}

// decode takes the code out of the form in which it was sent.
func (q *poolRequest) decode(code, inputType string) *poolError {
	switch strings.ToLower(inputType) {
	case "inline", "inlinetext":
		q.code = code
	case "inlinebase64":
		decoded, err := base64.StdEncoding.DecodeString(code)
		if err != nil {
			return poolInvalid("code", "The code is not valid base64.")
		}
		q.code = string(decoded)
	default:
		return poolInvalid("codeInputType", "The input type is not one of Inline, InlineText and InlineBase64.")
	}
	if len(q.code) > maxPoolCode {
		return poolFault(http.StatusRequestEntityTooLarge)
	}
	return nil
}
