package conversation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
	"keyless/handler/fault"
	"keyless/handler/store"
)

// model answers with what it was asked, unless told otherwise by the message:
// "code" makes it call the tool first, "long" gives a long answer.
type model struct {
	requests []agent.Request
	err      error // what it fails with once a tool has run
}

func (m *model) Next(_ context.Context, r agent.Request, _ func(string)) (agent.Response, error) {
	m.requests = append(m.requests, r)
	last := r.Items[len(r.Items)-1]
	if last.User == "code" {
		return agent.Response{Calls: []agent.Call{{ID: "c", Tool: "tool"}}, Items: []agent.Item{{Model: json.RawMessage(`{"call":"c"}`)}}}, nil
	}
	if m.err != nil {
		return agent.Response{}, m.err
	}
	text := "about " + last.User
	if last.User == "long" {
		text = strings.Repeat("x", 4000)
	}
	raw, err := json.Marshal(map[string]string{"answer": text})
	return agent.Response{Text: text, Items: []agent.Item{{Model: raw}}}, err
}

// sessions gives a tool that works, and remembers what was asked of it.
type sessions struct {
	identifiers []string
	ended       []string
	endErr      error
	runErr      error
}

func (s *sessions) Tools(identifier string, container *string) []agent.Tool {
	s.identifiers = append(s.identifiers, identifier)
	*container += "+"
	return []agent.Tool{tool{}}
}

func (s *sessions) Run(_ context.Context, _ string, _ *string, code string, _ time.Duration) (agent.Result, error) {
	return agent.Result{Step: agent.Step{Status: agent.Succeeded, Code: code}, Content: "ran it"}, s.runErr
}

func (s *sessions) End(_ context.Context, identifier string) error {
	s.ended = append(s.ended, identifier)
	return s.endErr
}

type tool struct{}

func (tool) Spec() agent.Spec { return agent.Spec{Name: "tool"} }

func (tool) Call(context.Context, string, func(agent.Step)) (agent.Result, error) {
	return agent.Result{Step: agent.Step{Status: agent.Succeeded}, Content: "ran"}, nil
}

type rig struct {
	*conversation.Service
	model    *model
	sessions *sessions
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	r := &rig{model: &model{}, sessions: &sessions{}}
	r.Service = &conversation.Service{Store: dir, Sessions: r.sessions, HistoryTokens: 1000, Now: time.Now,
		Agent: &agent.Agent{Model: r.model, Limits: agent.DefaultLimits(), Log: slog.New(slog.DiscardHandler)}}
	return r
}

func (r *rig) ask(t *testing.T, id, message string) conversation.Reply {
	t.Helper()
	reply, err := r.Answer(t.Context(), conversation.Question{Owner: "me", ConversationID: id, Message: message}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestTheModelIsShownTheWholeTurns(t *testing.T) {
	r := newRig(t)
	id := r.ask(t, "", "code").ConversationID
	r.ask(t, id, "and then?")
	var shown []string
	for _, item := range r.model.requests[2].Items {
		encoded, _ := json.Marshal(item)
		shown = append(shown, string(encoded))
	}
	want := []string{`{"user":"code"}`, `{"model":{"call":"c"}}`, `{"output":{"call_id":"c","text":"ran"}}`, `{"model":{"answer":"about "}}`, `{"user":"and then?"}`}
	if !slices.Equal(shown, want) {
		t.Errorf("the model was shown\n%s\nwant\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
}

func TestHistoryIsBoundedAndKeptWhole(t *testing.T) {
	r := newRig(t)
	id := r.ask(t, "", "one").ConversationID
	r.ask(t, id, "two")
	r.ask(t, id, "long") // about 1,000 tokens: it fills the bound by itself
	r.ask(t, id, "three")
	r.ask(t, id, "four")
	items := r.model.requests[4].Items
	if got := items[0].User; got != "[The first 3 turns of this conversation are not shown.]" || items[1].User != "three" {
		t.Errorf("the model was shown %+v", items)
	}
	page, err := r.Get(t.Context(), "me", id, 0, 50)
	if err != nil || len(page.Turns) != 5 || page.Turns[2].Message != "long" {
		t.Errorf("stored: %+v, %v", page, err)
	}
}

func TestPages(t *testing.T) {
	r := newRig(t)
	id := r.ask(t, "", "m1").ConversationID
	for n := 2; n <= 5; n++ {
		r.ask(t, id, fmt.Sprint("m", n))
	}
	var seen []string
	for before := 0; ; {
		page, err := r.Get(t.Context(), "me", id, before, 2)
		if err != nil {
			t.Fatal(err)
		}
		var messages []string
		for _, turn := range page.Turns {
			messages = append(messages, turn.Message)
		}
		seen = append(seen, strings.Join(messages, " "))
		if before = page.Before; before == 0 {
			break
		}
	}
	if want := []string{"m4 m5", "m2 m3", "m1"}; !slices.Equal(seen, want) {
		t.Errorf("pages = %q, want %q", seen, want)
	}
}

func TestATurnThatFailedAfterRunningCodeIsKept(t *testing.T) {
	r := newRig(t)
	r.model.err = fault.New(fault.Unavailable, "model_unavailable", "down")
	reply, err := r.Answer(t.Context(), conversation.Question{Owner: "me", Message: "code"}, nil)
	if code(err) != "model_unavailable" || len(reply.Steps) != 1 || reply.Status != conversation.Failed {
		t.Fatalf("Answer = %+v, %v", reply, err)
	}
	r.model.err = nil
	if next := r.ask(t, reply.ConversationID, "go on"); next.Number != 2 {
		t.Errorf("the next turn is number %d, want 2", next.Number)
	}
	if items := r.model.requests[2].Items; items[2].Output == nil || items[3].User != "go on" {
		t.Errorf("the model was shown %+v", items)
	}
}

func TestATurnThatDidNothingLeavesNothing(t *testing.T) {
	r := newRig(t)
	id := r.ask(t, "", "one").ConversationID
	r.model.err = fault.New(fault.Unavailable, "model_unavailable", "down")
	if _, err := r.Answer(t.Context(), conversation.Question{Owner: "me", ConversationID: id, Message: "two"}, nil); code(err) != "model_unavailable" {
		t.Fatal(err)
	}
	if page, err := r.Get(t.Context(), "me", id, 0, 50); err != nil || len(page.Turns) != 1 {
		t.Errorf("stored: %+v, %v", page, err)
	}
}

func TestACanceledTurnIsKeptAsSuch(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	id := ""
	_, err := r.Answer(ctx, conversation.Question{Owner: "me", Message: "code"}, func(e conversation.Event) {
		if e.ConversationID != "" {
			id = e.ConversationID
		}
		if e.Ended != nil {
			cancel()
			r.model.err = context.Canceled
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	page, err := r.Get(t.Context(), "me", id, 0, 50)
	if err != nil || len(page.Turns) != 1 || page.Turns[0].Status != conversation.Canceled {
		t.Errorf("stored: %+v, %v", page, err)
	}
}

func TestAConversationHasItsOwnSession(t *testing.T) {
	r := newRig(t)
	first := r.ask(t, "", "hello").ConversationID
	r.ask(t, first, "again")
	r.ask(t, "", "another")
	ids := r.sessions.identifiers
	if ids[0] != ids[1] || ids[1] == ids[2] || len(ids[0]) != 64 || strings.Contains(ids[0], first) {
		t.Errorf("identifiers = %q", ids)
	}
	if err := r.Delete(t.Context(), "me", first); err != nil || !slices.Equal(r.sessions.ended, ids[:1]) {
		t.Errorf("Delete = %v, ended %q", err, r.sessions.ended)
	}
}

func TestDeleteMayBeRepeated(t *testing.T) {
	r := newRig(t)
	id := r.ask(t, "", "hello").ConversationID
	r.sessions.endErr = fault.New(fault.Unavailable, "pool_unavailable", "down")
	if err := r.Delete(t.Context(), "me", id); code(err) != "pool_unavailable" {
		t.Errorf("Delete = %v", err)
	}
	r.sessions.endErr = nil
	if err := r.Delete(t.Context(), "me", id); err != nil {
		t.Errorf("Delete again = %v", err)
	}
	if err := r.Delete(t.Context(), "me", id); code(err) != "conversation_not_found" {
		t.Errorf("Delete of nothing = %v", err)
	}
}

func TestATurnThatIsAboutToEndIsWaitedFor(t *testing.T) {
	for hold, want := range map[time.Duration]string{500 * time.Millisecond: "", 5 * time.Second: "conversation_busy"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			id := r.ask(t, "", "hello").ConversationID
			entered := make(chan struct{})
			var first sync.WaitGroup
			first.Go(func() {
				_, _ = r.Answer(t.Context(), conversation.Question{Owner: "me", ConversationID: id, Message: "first", Enter: func(context.Context) error {
					close(entered)
					time.Sleep(hold)
					return nil
				}}, nil)
			})
			<-entered
			_, err := r.Answer(t.Context(), conversation.Question{Owner: "me", ConversationID: id, Message: "second"}, nil)
			if code(err) != want {
				t.Errorf("held for %v: %v, want %q", hold, err, want)
			}
			first.Wait()
		})
	}
}

func TestMessages(t *testing.T) {
	r := newRig(t)
	for message, want := range map[string]string{
		"": "message_empty", "\n": "message_empty", "a\xff": "message_not_utf8",
		strings.Repeat("é", conversation.MaxMessage+1): "message_too_long",
		strings.Repeat("é", conversation.MaxMessage):   "",
	} {
		if _, err := r.Answer(t.Context(), conversation.Question{Owner: "me", Message: message}, nil); code(err) != want {
			t.Errorf("%.10q: %v, want %q", message, err, want)
		}
	}
}
