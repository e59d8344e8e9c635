package localazure

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// openAIAnswer is a Response object in the making.
type openAIAnswer struct {
	request    *openAIRequest
	id         string
	created    int64
	incomplete string // why it is, or ""
	items      []answerItem
	tokens     int // in the output
	reasoning  int // of them
}

// answerItem is one output item. What is set depends on kind.
type answerItem struct {
	kind      string // reasoning, message, function_call
	id        string
	text      string // of a message
	call      ToolCall
	encrypted string // of reasoning
}

// tokensIn estimates the tokens of n bytes: four bytes a token, which is near
// the truth for English prose and no more than plausible for code.
func tokensIn(n int) int { return (n + 3) / 4 }

// reasoningTokens is what a reasoning item is said to have cost.
const reasoningTokens = 12

// newAnswer turns plan into output items, within q's bound on tokens.
func newAnswer(q *openAIRequest, plan Plan, reasoning bool) *openAIAnswer {
	a := &openAIAnswer{request: q, id: newID("resp_"), created: time.Now().Unix()}
	if reasoning {
		item := answerItem{kind: "reasoning", id: newID("rs_")}
		if slices.Contains(q.Include, "reasoning.encrypted_content") {
			item.encrypted = base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
		}
		a.items = append(a.items, item)
		a.tokens, a.reasoning = reasoningTokens, reasoningTokens
	}
	if plan.Text != "" {
		a.say(plan.Text)
	}
	for _, call := range plan.Calls {
		a.call(call)
	}
	return a
}

// left returns how many tokens may still be put out.
func (a *openAIAnswer) left() int {
	if a.request.MaxOutputTokens == nil {
		return 1 << 30
	}
	return *a.request.MaxOutputTokens - a.tokens
}

// say adds a message, or as much of it as the bound allows.
func (a *openAIAnswer) say(text string) {
	if most := max(0, a.left()) * 4; len(text) > most {
		text, a.incomplete = strings.ToValidUTF8(text[:most], ""), "max_output_tokens"
	}
	a.tokens += tokensIn(len(text))
	a.items = append(a.items, answerItem{kind: "message", id: newID("msg_"), text: text})
}

// call adds a call, unless the bound is reached.
func (a *openAIAnswer) call(call ToolCall) {
	cost := tokensIn(len(call.Name) + len(call.Arguments))
	if a.incomplete != "" || cost > a.left() {
		a.incomplete = "max_output_tokens"
		return
	}
	if call.ID == "" {
		call.ID = newID("call_")
	}
	a.tokens += cost
	a.items = append(a.items, answerItem{kind: "function_call", id: newID("fc_"), call: call})
}

// status is the finished answer's.
func (a *openAIAnswer) status() string {
	if a.incomplete != "" {
		return "incomplete"
	}
	return "completed"
}

// object returns the finished Response object.
func (a *openAIAnswer) object() map[string]any {
	o := a.opening()
	o["status"] = a.status()
	if a.incomplete != "" {
		o["incomplete_details"] = map[string]any{"reason": a.incomplete}
	}
	output := make([]any, len(a.items))
	for i := range a.items {
		output[i] = a.items[i].object("completed")
	}
	o["output"] = output
	input := tokensIn(a.request.size)
	o["usage"] = map[string]any{
		"input_tokens": input, "input_tokens_details": map[string]any{"cached_tokens": 0},
		"output_tokens": a.tokens, "output_tokens_details": map[string]any{"reasoning_tokens": a.reasoning},
		"total_tokens": input + a.tokens,
	}
	o["content_filters"] = []any{safe("prompt"), safe("completion")}
	return o
}

// opening returns the object as it is before anything has been put out.
func (a *openAIAnswer) opening() map[string]any {
	q := a.request
	return map[string]any{
		"id": a.id, "object": "response", "created_at": a.created, "status": "in_progress", "background": false,
		"content_filters": nil, "error": nil, "incomplete_details": nil, "instructions": null(q.Instructions), "max_output_tokens": q.MaxOutputTokens,
		"max_tool_calls": nil, "model": q.Model, "output": []any{}, "parallel_tool_calls": true, "previous_response_id": nil,
		"prompt_cache_key": nil, "reasoning": map[string]any{"effort": nil, "summary": nil}, "safety_identifier": nil,
		"service_tier": "default", "store": q.Store == nil || *q.Store, "temperature": 1.0,
		"text": map[string]any{"format": map[string]any{"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto", "tools": append([]openAITool{}, q.Tools...),
		"top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": nil, "user": nil, "metadata": map[string]any{},
	}
}

// object returns the item as it stands in the output.
func (i *answerItem) object(status string) map[string]any {
	switch i.kind {
	case "reasoning":
		o := map[string]any{"id": i.id, "type": i.kind, "summary": []any{}}
		if i.encrypted != "" {
			o["encrypted_content"] = i.encrypted
		}
		return o
	case "message":
		return map[string]any{"id": i.id, "type": i.kind, "status": status, "role": "assistant", "content": []any{part(i.text)}}
	}
	return map[string]any{"id": i.id, "type": i.kind, "status": status, "call_id": i.call.ID, "name": i.call.Name, "arguments": i.call.Arguments}
}

// opening returns the item as it is before anything of it has been put out.
func (i *answerItem) opening() map[string]any {
	empty := *i
	empty.text, empty.call.Arguments, empty.encrypted = "", "", ""
	o := empty.object("in_progress")
	if i.kind == "message" {
		o["content"] = []any{}
	}
	return o
}

// part is a message's only content part.
func part(text string) map[string]any {
	return map[string]any{"type": "output_text", "annotations": []any{}, "logprobs": []any{}, "text": text}
}

// safe is the content filter's finding about harmless content, as Azure adds
// it to a Response object (azure-rest-api-specs, pull request 42141).
func safe(source string) map[string]any {
	harmless := map[string]any{"filtered": false, "severity": "safe"}
	return map[string]any{"blocked": false, "source_type": source, "content_filter_results": map[string]any{
		"hate": harmless, "sexual": harmless, "violence": harmless, "self_harm": harmless}}
}

// newID returns a fresh id with the prefix that tells its kind.
func newID(prefix string) string { return prefix + strings.ToLower(rand.Text()) }
