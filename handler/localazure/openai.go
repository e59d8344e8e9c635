package localazure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// OpenAIConfig says what an [OpenAI] is like.
type OpenAIConfig struct {
	Deployments []string
	Planner     Planner // the model
	Issuer      *Issuer // whose tokens are accepted; nil: any
	Reasoning   bool    // answers hold reasoning items, encrypted where asked for
	// ChunkDelay is waited before each piece of streamed text.
	ChunkDelay time.Duration
}

// OpenAI stands in for an Azure OpenAI resource: the Responses API on the v1
// path, streamed and not, with the events, ids, headers and errors of the
// real one, and a [Planner] in place of the model. It is as strict as the
// service where a client could go wrong: the token's audience, the pairing of
// calls, outputs and reasoning, strict tool schemas. It stores nothing.
// It is safe for concurrent use.
type OpenAI struct {
	Faults  Faults
	config  OpenAIConfig
	handler http.Handler
}

// NewOpenAI returns a stand-in.
func NewOpenAI(config OpenAIConfig) *OpenAI {
	o := &OpenAI{config: config}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /openai/v1/responses", o.respond)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { openAIError{Status: http.StatusNotFound}.write(w) })
	o.handler = o.Faults.wrap(mux, func(status int) string { return openAIError{Status: status}.body() })
	return o
}

// ServeHTTP answers as the resource would.
func (o *OpenAI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Apim-Request-Id", newID(""))
	w.Header().Set("X-Request-Id", newID(""))
	w.Header().Set("X-Ms-Region", "Local")
	w.Header().Set("X-Ratelimit-Limit-Requests", "1000")
	w.Header().Set("X-Ratelimit-Remaining-Requests", "999")
	w.Header().Set("X-Ratelimit-Limit-Tokens", "1000000")
	w.Header().Set("X-Ratelimit-Remaining-Tokens", "999000")
	o.handler.ServeHTTP(w, r)
}

// maxOpenAIRequest bounds a request's body, in bytes.
const maxOpenAIRequest = 32 << 20

// respond serves POST /openai/v1/responses.
func (o *OpenAI) respond(w http.ResponseWriter, r *http.Request) {
	if err := o.admit(r); err != nil {
		openAIError{Status: http.StatusUnauthorized}.write(w)
		return
	}
	var q openAIRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOpenAIRequest)).Decode(&q); err != nil {
		invalid("", "", "Invalid JSON in the request body: %v", err).write(w)
		return
	}
	if !slices.Contains(o.config.Deployments, q.Model) {
		openAIError{Status: http.StatusNotFound, Code: "DeploymentNotFound", Message: "The API deployment for this resource does not exist. " +
			"If you created the deployment within the last 5 minutes, please wait a moment and try again."}.write(w)
		return
	}
	transcript, problem := q.transcript()
	if problem != nil {
		problem.write(w)
		return
	}
	plan, err := o.config.Planner.Plan(r.Context(), transcript)
	switch {
	case err != nil:
		openAIError{Status: http.StatusInternalServerError, Code: "server_error", Type: "server_error", Message: err.Error()}.write(w)
	case plan.Refused:
		refusedPrompt().write(w)
	default:
		o.answer(w, r, &q, newAnswer(&q, plan, o.config.Reasoning))
	}
}

// admit checks the token: real resources accept both audiences.
func (o *OpenAI) admit(r *http.Request) error {
	if o.config.Issuer == nil {
		return nil
	}
	return o.config.Issuer.Check(r, "https://cognitiveservices.azure.com", "https://ai.azure.com")
}

// answer writes a, streamed if q asks for it.
func (o *OpenAI) answer(w http.ResponseWriter, r *http.Request, q *openAIRequest, a *openAIAnswer) {
	if q.Stream {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		s := &openAIStream{w: w, r: r, delay: o.config.ChunkDelay}
		s.play(a)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.object())
}

// openAIError is an error in the service's form. The zero values of Code and
// Message stand for the usual ones of Status.
type openAIError struct {
	Status  int
	Code    string
	Type    string
	Param   string
	Message string
	Inner   any // the content filter's findings
}

// invalid is a request that the service finds malformed.
func invalid(code, param, format string, args ...any) *openAIError {
	return &openAIError{Status: http.StatusBadRequest, Code: code, Type: "invalid_request_error", Param: param, Message: fmt.Sprintf(format, args...)}
}

// refusedPrompt is the content filter's refusal
// (learn.microsoft.com, Azure OpenAI "Content filtering").
func refusedPrompt() *openAIError {
	e := invalid("content_filter", "prompt", "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "+
		"Please modify your prompt and retry.")
	e.Type = ""
	e.Inner = map[string]any{"code": "ResponsibleAIPolicyViolation", "content_filter_result": map[string]any{
		"hate":      map[string]any{"filtered": false, "severity": "safe"},
		"jailbreak": map[string]any{"filtered": true, "detected": true},
		"violence":  map[string]any{"filtered": false, "severity": "safe"},
	}}
	return e
}

// usual is what the service says to a status on its own.
var usual = map[int]string{
	http.StatusUnauthorized: "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), or have expired.",
	http.StatusForbidden:    "Access denied due to Virtual Network/Firewall rules.",
	http.StatusNotFound:     "Resource not found",
	http.StatusTooManyRequests: "Requests to the Responses operation under Azure OpenAI API have exceeded the token rate limit of your current pricing tier. " +
		"Please retry later.",
	http.StatusInternalServerError: "The server had an error while processing your request. Sorry about that!",
}

func (e openAIError) body() string {
	if e.Code == "" && e.Message == "" {
		e.Code = fmt.Sprint(e.Status)
	}
	if e.Message == "" {
		e.Message = usual[e.Status]
	}
	if e.Message == "" {
		e.Message = http.StatusText(e.Status)
	}
	fields := map[string]any{"code": null(e.Code), "message": e.Message, "type": null(e.Type), "param": null(e.Param)}
	if e.Inner != nil {
		fields["innererror"] = e.Inner
	}
	text, _ := json.Marshal(map[string]any{"error": fields})
	return string(text)
}

func (e openAIError) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_, _ = w.Write([]byte(e.body()))
}

// null is s, or JSON's null for "".
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
