package llm

import (
	"encoding/json"
	"fmt"
	"strings"

	"keyless/handler/agent"
)

// answer is the part of a Response object that is used (openai-openapi,
// Response). Its items are kept as they came.
type answer struct {
	Status     string // completed, incomplete, failed; other values belong to background mode
	Error      *problem
	Incomplete struct {
		Reason string // max_output_tokens or content_filter
	} `json:"incomplete_details"`
	Output []json.RawMessage
	Usage  struct {
		Input   int `json:"input_tokens"`
		Output  int `json:"output_tokens"`
		Details struct {
			Cached int `json:"cached_tokens"`
		} `json:"input_tokens_details"`
	}
	ContentFilters []contentFilter `json:"content_filters"` // Azure's addition
}

// item is what is read of an output item.
type item struct {
	Type      string
	ID        string
	Status    string
	CallID    string `json:"call_id"`
	Name      string
	Arguments string
	Encrypted string `json:"encrypted_content"`
	Content   []struct {
		Text    string // of an output_text part
		Refusal string // of a refusal part: the model's own words, too
	}
}

// response turns the answer into the agent's terms.
func (a *answer) response() (agent.Response, error) {
	truncated, err := a.ended()
	if err != nil {
		return agent.Response{}, err
	}
	r := agent.Response{Truncated: truncated,
		Usage: agent.Usage{InputTokens: a.Usage.Input, OutputTokens: a.Usage.Output, CachedTokens: a.Usage.Details.Cached}}
	kept := 0 // items up to here may be sent back
	var texts []string
	for _, raw := range a.Output {
		var it item
		if err := json.Unmarshal(raw, &it); err != nil {
			return agent.Response{}, &unreadableError{err}
		}
		switch {
		case it.Type == "message":
			texts = append(texts, it.text())
		case it.Type == "function_call" && it.Status != "incomplete":
			if it.CallID == "" || it.Name == "" {
				return agent.Response{}, &unreadableError{fmt.Errorf("a call without call_id or name")}
			}
			r.Calls = append(r.Calls, agent.Call{ID: it.CallID, Tool: it.Name, Arguments: it.Arguments})
		case it.Type == "reasoning" && it.Encrypted != "":
		default:
			// A reasoning item without its content would be looked up by its
			// id, and nothing is stored to be found.
			continue
		}
		r.Items = append(r.Items, agent.Item{Model: raw})
		if it.Type != "reasoning" {
			kept = len(r.Items)
		}
	}
	// The service refuses reasoning that nothing follows.
	r.Items = r.Items[:kept]
	r.Text = strings.Join(texts, paragraph)
	return r, nil
}

// paragraph parts the texts of two messages in one answer.
const paragraph = "\n\n"

func (it *item) text() string {
	var b strings.Builder
	for _, part := range it.Content {
		b.WriteString(part.Text)
		b.WriteString(part.Refusal)
	}
	return b.String()
}

// ended reports how the answer ended: nil and whether the token limit cut it,
// or why there is none.
func (a *answer) ended() (truncated bool, err error) {
	switch {
	case a.Status == "completed":
		return false, nil
	case a.Status == "incomplete" && a.Incomplete.Reason == "content_filter":
		return false, &problem{Code: "content_filter", Filters: a.ContentFilters}
	case a.Status == "incomplete":
		return true, nil
	case a.Status == "":
		return false, &unreadableError{fmt.Errorf("the answer has no status")}
	case a.Error != nil:
		return false, a.Error
	}
	return false, &problem{} // failed, and the service does not say why
}
