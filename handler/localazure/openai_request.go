package localazure

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// openAIRequest is what is understood of a request's body (openai-openapi,
// CreateResponse).
type openAIRequest struct {
	Model           string
	Instructions    string
	Input           json.RawMessage // a text, or items
	Tools           []openAITool
	Include         []string
	Store           *bool // true unless it says otherwise
	Stream          bool
	MaxOutputTokens *int `json:"max_output_tokens"`
	size            int  // of the input, in bytes
}

type openAITool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      bool            `json:"strict"`
}

// openAIItem is an input item of any type.
type openAIItem struct {
	Type      string
	ID        string
	Role      string
	Content   openAIContent
	CallID    string `json:"call_id"`
	Name      string
	Arguments string
	Output    openAIContent
	Encrypted string `json:"encrypted_content"`
}

// openAIContent is a text, or a list of parts with texts.
type openAIContent string

func (c *openAIContent) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*c = openAIContent(text)
		return nil
	}
	var parts []struct{ Text, Refusal string }
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	for _, part := range parts {
		*c += openAIContent(part.Text + part.Refusal)
	}
	return nil
}

// leastOutputTokens is the least bound that the service accepts.
const leastOutputTokens = 16

// transcript checks the request and decodes it for the planner.
func (q *openAIRequest) transcript() (Transcript, *openAIError) {
	t := Transcript{Instructions: q.Instructions}
	if q.MaxOutputTokens != nil && *q.MaxOutputTokens < leastOutputTokens {
		return t, invalid("integer_below_min_value", "max_output_tokens", "Invalid 'max_output_tokens': integer below minimum value. "+
			"Expected a value >= %d, but got %d instead.", leastOutputTokens, *q.MaxOutputTokens)
	}
	for i := range q.Tools {
		if problem := q.Tools[i].check(); problem != nil {
			return t, problem
		}
		t.Tools = append(t.Tools, q.Tools[i].Name)
	}
	items, problem := q.items()
	if problem == nil {
		problem = paired(items)
	}
	for i := range items {
		if problem == nil {
			problem = q.add(&t, &items[i])
		}
	}
	return t, problem
}

// items decodes the input.
func (q *openAIRequest) items() ([]openAIItem, *openAIError) {
	q.size = len(q.Instructions) + len(q.Input)
	var text string
	if json.Unmarshal(q.Input, &text) == nil && text != "" {
		return []openAIItem{{Role: "user", Content: openAIContent(text)}}, nil
	}
	var items []openAIItem
	if err := json.Unmarshal(q.Input, &items); err != nil || len(items) == 0 {
		return nil, invalid("missing_required_parameter", "input", "Missing or malformed parameter: 'input'.")
	}
	return items, nil
}

// add appends item to t.
func (q *openAIRequest) add(t *Transcript, item *openAIItem) *openAIError {
	switch item.Type {
	case "", "message":
		return addMessage(t, item)
	case "function_call":
		t.Entries = append(t.Entries, Entry{Call: &ToolCall{ID: item.CallID, Name: item.Name, Arguments: item.Arguments}})
	case "function_call_output":
		t.Entries = append(t.Entries, Entry{Output: &ToolOutput{CallID: item.CallID, Text: string(item.Output)}})
	case "reasoning":
		if item.Encrypted == "" {
			e := invalid("", "input", "Item with id '%s' not found. Items are not persisted when `store` is set to false. "+
				"Try again with `store` set to true, or remove this item from your input.", item.ID)
			e.Status = http.StatusNotFound
			return e
		}
	default:
		return invalid("invalid_value", "input", "Invalid value: '%s'.", item.Type)
	}
	return nil
}

func addMessage(t *Transcript, item *openAIItem) *openAIError {
	switch item.Role {
	case "user":
		t.Entries = append(t.Entries, Entry{User: string(item.Content)})
	case "assistant":
		t.Entries = append(t.Entries, Entry{Assistant: string(item.Content)})
	case "system", "developer":
		t.Instructions = strings.TrimSpace(t.Instructions + "\n" + string(item.Content))
	default:
		return invalid("invalid_value", "input", "Invalid value: '%s'. Supported values are: 'assistant', 'system', 'developer', and 'user'.", item.Role)
	}
	return nil
}

// paired checks what the service insists on: each call has its output and each
// output its call before it, and reasoning is followed by what it led to.
func paired(items []openAIItem) *openAIError {
	var open []string
	for i, item := range items {
		switch item.Type {
		case "function_call":
			open = append(open, item.CallID)
		case "function_call_output":
			at := slices.Index(open, item.CallID)
			if at < 0 {
				return invalid("", "input", "No tool call found for function call output with call_id %s.", item.CallID)
			}
			open = slices.Delete(open, at, at+1)
		case "reasoning":
			if i+1 == len(items) || items[i+1].Role == "user" || items[i+1].Type == "function_call_output" {
				return invalid("", "input", "Item '%s' of type 'reasoning' was provided without its required following item.", item.ID)
			}
		}
	}
	if len(open) > 0 {
		return invalid("", "input", "No tool output found for function call %s.", open[0])
	}
	return nil
}

// check looks at a tool as far as strict mode's rules for the outermost
// object (learn.microsoft.com, Azure OpenAI "Structured outputs").
func (t *openAITool) check() *openAIError {
	if t.Type != "function" || t.Name == "" {
		return invalid("invalid_value", "tools", "Only named function tools are supported here.")
	}
	var schema struct {
		Type       string
		Properties map[string]json.RawMessage
		Required   []string
		Additional *bool `json:"additionalProperties"`
	}
	if err := json.Unmarshal(t.Parameters, &schema); err != nil || schema.Type != "object" {
		return invalid("invalid_function_parameters", "tools", "Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"'.", t.Name)
	}
	if !t.Strict {
		return nil
	}
	if schema.Additional == nil || *schema.Additional {
		return invalid("invalid_function_parameters", "tools", "Invalid schema for function '%s': 'additionalProperties' is required to be supplied and to be false.", t.Name)
	}
	for name := range schema.Properties {
		if !slices.Contains(schema.Required, name) {
			return invalid("invalid_function_parameters", "tools", "Invalid schema for function '%s': 'required' is required to be supplied and to be "+
				"an array including every key in properties. Missing '%s'.", t.Name, name)
		}
	}
	return nil
}
