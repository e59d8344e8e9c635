package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"keyless/handler/conversation"
	"keyless/handler/fault"
	"keyless/handler/jobs"
)

// chatRequest is the body of POST /api/chat.
type chatRequest struct {
	Message        string `json:"message"`
	ConversationID string `json:"conversation_id"`
	Stream         bool   `json:"stream"`
	Background     bool   `json:"background"` // answer at once, with a job
}

// chat serves POST /api/chat: one turn, answered as JSON or, where the body or
// the Accept header asks for it, as a stream of events.
func (a *App) chat(c *call) error {
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	var body chatRequest
	if err := decodeJSON(c.w, c.r, &body); err != nil {
		return err
	}
	if body.Background {
		return a.submit(c, jobs.Request{Owner: owner, ConversationID: body.ConversationID, Message: body.Message})
	}
	q := conversation.Question{Owner: owner, ConversationID: body.ConversationID, Message: body.Message}
	if body.Stream || strings.Contains(c.r.Header.Get("Accept"), "text/event-stream") {
		return a.chatStream(c, q)
	}
	reply, err := a.conversations.Answer(c.ctx(), q, nil)
	c.noteTurn(reply)
	if err != nil {
		return c.problem(err, reply)
	}
	return c.json(http.StatusOK, reply)
}

// chatStream answers with events. Only once the conversation is known to be
// there and free does the stream begin, so that an error before that has its
// own status.
func (a *App) chatStream(c *call, q conversation.Question) error {
	s := newStream(c)
	defer s.close()
	reply, err := a.conversations.Answer(s.ctx, q, s.event)
	c.noteTurn(reply)
	switch {
	case err != nil && !s.begun():
		return err
	case err != nil:
		s.send("error", failed(err, c, reply))
		return err
	}
	s.send("done", reply)
	return nil
}

// problem answers with err and with what was done before it.
func (c *call) problem(err error, reply conversation.Reply) error {
	if len(reply.Steps) > 0 {
		failed(err, c, reply).write(c.w)
	}
	return err
}

func (c *call) noteTurn(reply conversation.Reply) {
	if reply.Number == 0 {
		return
	}
	c.note(slog.Int("turn", reply.Number), slog.String("turn_status", string(reply.Status)), slog.Int("steps", len(reply.Steps)),
		slog.Int("input_tokens", reply.Usage.InputTokens), slog.Int("output_tokens", reply.Usage.OutputTokens))
}

func (a *App) getConversation(c *call) error {
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	before, err := c.number("before", 0, 1<<30)
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 50, 200)
	if err != nil {
		return err
	}
	page, err := a.conversations.Get(c.ctx(), owner, c.r.PathValue("id"), before, limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page)
}

func (a *App) deleteConversation(c *call) error {
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	if err := a.conversations.Delete(c.ctx(), owner, c.r.PathValue("id")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// health says that the app is up, and no more: it is open to everyone.
func (a *App) health(c *call) error {
	return c.json(http.StatusOK, map[string]string{"status": "up", "version": Version})
}

// number reads a query parameter from 1 to most; byDefault where it is absent.
func (c *call) number(name string, byDefault, most int) (int, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fault.New(fault.Invalid, "parameter_invalid", "The parameter `%s` must be a whole number from 1 to %d.", name, most)
	}
	return n, nil
}

func (c *call) json(status int, v any) error {
	data, err := encodeJSON(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(data) // the caller may have gone
	return nil
}

// encodeJSON encodes v in one line, newline included. It leaves < and > as they
// are, which code is full of: no answer of ours is HTML, and none is sniffed.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return b.Bytes(), err
}
