package conversation

import (
	"encoding/json"
	"fmt"
	"time"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// Status tells how a turn ended.
type Status string

const (
	Completed  Status = "completed"
	Incomplete Status = "incomplete" // a limit ended it; Limit says which
	Failed     Status = "failed"     // the platform failed in the middle
	Canceled   Status = "canceled"   // the caller went away or ran out of time
)

// Turn is one question and what came of it, as a caller sees it.
type Turn struct {
	Number     int          `json:"turn"` // counts from 1
	Message    string       `json:"message,omitempty"`
	Code       string       `json:"code,omitempty"` // that was run in place of a message
	Status     Status       `json:"status"`
	Limit      agent.Limit  `json:"limit,omitempty"`
	Reply      string       `json:"reply"`
	Steps      []agent.Step `json:"steps"`
	Usage      agent.Usage  `json:"usage"`
	StartedAt  time.Time    `json:"started_at"`
	DurationMS int64        `json:"duration_ms"`
}

// Conversation is a page of a conversation's turns, oldest first.
type Conversation struct {
	ID        string    `json:"conversation_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Turns     []Turn    `json:"turns"`
	// Before is what to ask for next to read further back; 0 when the page
	// begins with the first turn.
	Before int `json:"before,omitempty"`
}

// record is a conversation as it is stored.
type record struct {
	ID        string       `json:"id"`
	Owner     string       `json:"owner"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	Container string       `json:"container,omitempty"` // which one ran this conversation's code last
	Turns     []storedTurn `json:"turns"`
}

// storedTurn is a turn with the items that the model is shown of it.
type storedTurn struct {
	Turn
	Items  []agent.Item `json:"items"`
	Tokens int          `json:"tokens"` // estimate for Items
}

func decode(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("decode a stored conversation: %w", err)
	}
	return &r, nil
}

func (r *record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode conversation: %w", err)
	}
	return data, nil
}

// pack returns where the record is stored, and its content.
func (r *record) pack() (key string, data []byte, err error) {
	if key, err = recordKey(r.Owner, r.ID); err != nil {
		return "", nil, err
	}
	data, err = r.encode()
	return key, data, err
}

func (r *record) append(turn Turn, items []agent.Item) {
	r.UpdatedAt = turn.StartedAt.Add(time.Duration(turn.DurationMS) * time.Millisecond)
	r.Turns = append(r.Turns, storedTurn{turn, items, estimateTokens(items)})
}

// history returns what the model is shown of the turns so far: the newest that
// fit in tokens, and word of those left out. A turn is shown whole or not at
// all, since the provider refuses a call without its output.
func (r *record) history(tokens int) []agent.Item {
	first := len(r.Turns)
	for first > 0 && tokens >= r.Turns[first-1].Tokens {
		first--
		tokens -= r.Turns[first].Tokens
	}
	var items []agent.Item
	if first > 0 {
		items = append(items, agent.Item{User: fmt.Sprintf("[The first %d turns of this conversation are not shown.]", first)})
	}
	for _, turn := range r.Turns[first:] {
		items = append(items, turn.Items...)
	}
	return items
}

// estimateTokens counts four bytes a token, the rule of thumb for English.
func estimateTokens(items []agent.Item) int {
	bytes := 0
	for _, item := range items {
		bytes += len(item.User) + len(item.Model)
		if item.Output != nil {
			bytes += len(item.Output.Text)
		}
	}
	return bytes/4 + 1
}

func (r *record) page(before, limit int) Conversation {
	end := len(r.Turns)
	if before > 0 {
		end = min(end, before-1)
	}
	start := max(0, end-limit)
	c := Conversation{ID: r.ID, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Turns: []Turn{}}
	for _, turn := range r.Turns[start:end] {
		c.Turns = append(c.Turns, turn.Turn)
	}
	if start > 0 {
		c.Before = start + 1
	}
	return c
}

func statusOf(outcome agent.Outcome, err error) Status {
	switch {
	case fault.Is(err, fault.Canceled), fault.Is(err, fault.Deadline):
		return Canceled
	case err != nil:
		return Failed
	case outcome.Limit != agent.LimitNone:
		return Incomplete
	}
	return Completed
}
