// Package conversation is the use case of a chat turn: find the caller's
// conversation, keep everyone else out of it, let the agent answer, save.
//
// A conversation is the one unit of state: its turns, and one session of the
// session pool with its variables and files. It belongs to an owner; to anyone
// else it does not exist. One turn at a time runs in it, across instances.
// Package app calls [Service] and knows nothing of records; package store
// keeps them; package interpreter brings the tools.
package conversation

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"keyless/handler/agent"
	"keyless/handler/fault"
)

// MaxMessage bounds a message, in characters.
const MaxMessage = 32_000

// maxRecord bounds a stored conversation, in bytes, so that loading it at each
// turn stays cheap.
const maxRecord = 16 << 20

// Store keeps records under keys. Package store holds the real ones.
type Store interface {
	// Create writes a new record. fault.Conflict if the key is taken.
	Create(ctx context.Context, key string, data []byte) error
	// Start writes a new record and holds its lock while fn runs; then it
	// goes on as Update does. fault.Conflict if the key is taken.
	Start(ctx context.Context, key string, data []byte, fn func(ctx context.Context) ([]byte, error)) error
	// Get reads a record. fault.NotFound if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Update locks the record against everyone, on any instance, hands fn its
	// content and writes what fn returns, unless that is nil; it does so too
	// when fn fails or ctx ends, for what was done is to be kept. fn's context
	// ends when the lock is lost. fault.NotFound; fault.Conflict, at once, if
	// the record is locked; else fn's error.
	Update(ctx context.Context, key string, fn func(ctx context.Context, data []byte) ([]byte, error)) error
	// Remove locks the record, runs fn, and deletes the record if fn did not
	// fail. Errors as Update.
	Remove(ctx context.Context, key string, fn func(ctx context.Context) error) error
}

// Sessions gives a conversation its interpreter session. Package interpreter
// holds the real one.
type Sessions interface {
	// Tools returns the tools for one turn in the session of that identifier.
	// container names the container that ran this conversation's code last;
	// the tools compare and renew it.
	Tools(identifier string, container *string) []agent.Tool
	// Run runs code in the session, for at most limit, as a tool of Tools would.
	Run(ctx context.Context, identifier string, container *string, code string, limit time.Duration) (agent.Result, error)
	// End ends the session, if there is one, with its variables and files.
	End(ctx context.Context, identifier string) error
}

// Service answers for all conversations. It is safe for concurrent use.
type Service struct {
	Store    Store
	Sessions Sessions
	Agent    *agent.Agent
	// HistoryTokens bounds what the model is shown of earlier turns, by the
	// estimate of four bytes a token. Whole turns are left out, oldest first.
	HistoryTokens int
	Now           func() time.Time
}

// Question is what a caller asks: a message for the agent or, without the
// model, code to run.
type Question struct {
	Owner          string
	ConversationID string // empty: a new conversation
	Message        string
	Code           string        // in place of Message
	Limit          time.Duration // for Code; positive

	// Enter, if set, is called when the conversation is locked and before
	// anything is run. Its error ends the turn, and nothing was done.
	Enter func(ctx context.Context) error
	// Leave, if set, is called with what came of the turn, still under the
	// lock and before the turn is saved. Its error replaces the turn's, and
	// nothing is saved.
	Leave func(ctx context.Context, reply Reply, err error) error
}

// Event is something that happens while a question is answered. The first
// event has the conversation's id, the others the agent's.
type Event struct {
	ConversationID string
	agent.Event
}

// Reply is the answer to a question.
type Reply struct {
	ConversationID string `json:"conversation_id"`
	Turn
}

// Answer takes one turn: it runs the agent on the question and saves the turn
// before it returns. on sees the events, one at a time; where it is nil nobody
// watches, and the model is not asked to stream.
//
// A turn that fails or is canceled after it ran code is saved as such, and the
// Reply beside the error holds it; one that did nothing leaves nothing behind.
// Errors: conversation_not_found, conversation_busy, conversation_full,
// message_empty, message_too_long, and those of the agent.
func (s *Service) Answer(ctx context.Context, q Question, on func(Event)) (Reply, error) {
	if err := q.check(); err != nil {
		return Reply{}, err
	}
	if q.ConversationID == "" {
		return s.begin(ctx, q, on)
	}
	key, err := recordKey(q.Owner, q.ConversationID)
	if err != nil {
		return Reply{}, err
	}
	reply, entered := Reply{}, false
	err = graceful(ctx, &entered, func() error {
		return s.Store.Update(ctx, key, func(ctx context.Context, data []byte) ([]byte, error) {
			entered = true
			if len(data) > maxRecord {
				return nil, full()
			}
			r, err := decode(data)
			if err != nil {
				return nil, err
			}
			reply, data, err = s.turn(ctx, r, q, on)
			return data, err
		})
	})
	if !entered {
		err = explain(err)
	}
	return reply, err
}

// grace is how long a busy conversation is tried again. Whoever has just been
// told a turn's outcome may ask for the next one moments before the
// conversation is free.
const grace = time.Second

// graceful calls try until it has entered the conversation, or fails for
// another reason than that it is busy, or grace is over.
func graceful(ctx context.Context, entered *bool, try func() error) error {
	for deadline := time.Now().Add(grace); ; {
		err := try()
		if *entered || !fault.Is(err, fault.Conflict) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin answers the first question of a new conversation. The conversation
// exists from before its id is told.
func (s *Service) begin(ctx context.Context, q Question, on func(Event)) (Reply, error) {
	r := s.newRecord(q.Owner)
	key, data, err := r.pack()
	if err != nil {
		return Reply{}, err
	}
	var reply Reply
	err = s.Store.Start(ctx, key, data, func(ctx context.Context) ([]byte, error) {
		var data []byte
		var err error
		reply, data, err = s.turn(ctx, r, q, on)
		return data, err
	})
	return reply, err
}

// turn takes one turn in r and returns the record's new content, nil if there
// is nothing to keep.
func (s *Service) turn(ctx context.Context, r *record, q Question, on func(Event)) (Reply, []byte, error) {
	if q.Enter != nil {
		if err := q.Enter(ctx); err != nil {
			return Reply{ConversationID: r.ID}, nil, err
		}
	}
	if on != nil {
		on(Event{ConversationID: r.ID})
	}
	turn, items, err := s.take(ctx, r, q, on)
	reply := Reply{ConversationID: r.ID, Turn: turn}
	if q.Leave != nil {
		if failed := q.Leave(context.WithoutCancel(ctx), reply, err); failed != nil {
			return reply, nil, failed
		}
	}
	if err != nil && len(turn.Steps) == 0 {
		return reply, nil, err
	}
	turn.Message, turn.Code = q.Message, q.Code
	r.append(turn, items)
	data, encodeErr := r.encode()
	if err == nil {
		err = encodeErr
	}
	return reply, data, err
}

// take lets the agent answer, or runs the code, and returns the turn and what
// the model is to be shown of it later.
func (s *Service) take(ctx context.Context, r *record, q Question, on func(Event)) (Turn, []agent.Item, error) {
	var events func(agent.Event)
	if on != nil {
		events = func(e agent.Event) { on(Event{Event: e}) }
	}
	started := s.Now().UTC()
	var outcome agent.Outcome
	var items []agent.Item
	var err error
	if q.Code != "" {
		outcome, items, err = s.run(ctx, r, q, events)
	} else {
		question := agent.Item{User: q.Message}
		tools := s.Sessions.Tools(identifier(q.Owner, r.ID), &r.Container)
		outcome, err = s.Agent.Run(ctx, append(r.history(s.HistoryTokens), question), tools, events)
		items = append([]agent.Item{question}, outcome.Items...)
	}
	return Turn{Number: len(r.Turns) + 1, Status: statusOf(outcome, err), Limit: outcome.Limit, Reply: outcome.Text, Steps: outcome.Steps,
		Usage: outcome.Usage, StartedAt: started, DurationMS: s.Now().Sub(started).Milliseconds()}, items, err
}

// run runs the question's code as a turn of one step. The model is told of it
// in its next turn, as something that the user did.
func (s *Service) run(ctx context.Context, r *record, q Question, events func(agent.Event)) (agent.Outcome, []agent.Item, error) {
	step := agent.Step{Number: 1, Tool: "run_python", Code: q.Code, Status: agent.Running}
	report := func(e agent.Event) {
		if events != nil {
			events(e)
		}
	}
	report(agent.Event{Begun: &step})
	result, err := s.Sessions.Run(ctx, identifier(q.Owner, r.ID), &r.Container, q.Code, q.Limit)
	if err != nil {
		return agent.Outcome{Steps: []agent.Step{}}, nil, err
	}
	result.Step.Number, result.Step.Tool = step.Number, step.Tool
	report(agent.Event{Ended: &result.Step})
	told := fmt.Sprintf("[I ran this Python in the sandbox:\n%s\nWhat came of it:\n%s]", q.Code, result.Content)
	return agent.Outcome{Steps: []agent.Step{result.Step}}, []agent.Item{{User: told}}, nil
}

// Create makes a conversation with nothing in it and returns its id.
func (s *Service) Create(ctx context.Context, owner string) (string, error) {
	r := s.newRecord(owner)
	key, data, err := r.pack()
	if err != nil {
		return "", err
	}
	return r.ID, s.Store.Create(ctx, key, data)
}

// Interrupt ends the conversation's session, and with it whatever runs there,
// its variables and its files. The conversation stays.
func (s *Service) Interrupt(ctx context.Context, owner, id string) error {
	return s.Sessions.End(ctx, identifier(owner, id))
}

func (s *Service) newRecord(owner string) *record {
	now := s.Now().UTC()
	return &record{ID: NewID(), Owner: owner, CreatedAt: now, UpdatedAt: now}
}

// Get returns a page of a conversation: at most limit of the turns before
// turn number before (0: the newest). Error: conversation_not_found.
func (s *Service) Get(ctx context.Context, owner, id string, before, limit int) (Conversation, error) {
	key, err := recordKey(owner, id)
	if err != nil {
		return Conversation{}, err
	}
	data, err := s.Store.Get(ctx, key)
	if err != nil {
		return Conversation{}, explain(err)
	}
	r, err := decode(data)
	if err != nil {
		return Conversation{}, err
	}
	return r.page(before, limit), nil
}

// Delete ends the conversation's session and removes all that is stored of
// it. It may be repeated when it failed halfway. Errors:
// conversation_not_found, conversation_busy, and the session pool's.
func (s *Service) Delete(ctx context.Context, owner, id string) error {
	key, err := recordKey(owner, id)
	if err != nil {
		return err
	}
	entered := false
	err = graceful(ctx, &entered, func() error {
		return s.Store.Remove(ctx, key, func(ctx context.Context) error {
			entered = true
			return s.Sessions.End(ctx, identifier(owner, id))
		})
	})
	if !entered {
		err = explain(err)
	}
	return err
}

func (q Question) check() error {
	if q.Code != "" {
		return nil // whoever sets it has checked it
	}
	return CheckMessage(q.Message)
}

// CheckMessage returns what is wrong with a message: message_empty,
// message_too_long or message_not_utf8.
func CheckMessage(message string) error {
	switch {
	case !utf8.ValidString(message):
		return fault.New(fault.Invalid, "message_not_utf8", "The message is not valid UTF-8.")
	case strings.TrimSpace(message) == "":
		return fault.New(fault.Invalid, "message_empty", "The message is empty. Send what you want to know in `message`.")
	case utf8.RuneCountInString(message) > MaxMessage:
		return fault.New(fault.TooLarge, "message_too_long", "The message has %d characters; at most %d are allowed.",
			utf8.RuneCountInString(message), MaxMessage)
	}
	return nil
}

// explain says a store's answer in the caller's terms.
func explain(err error) error {
	switch {
	case fault.Is(err, fault.NotFound):
		return notFound().Because(err)
	case fault.Is(err, fault.Conflict):
		return fault.New(fault.Conflict, "conversation_busy",
			"A turn is running in this conversation. Wait for it to end, or cancel it, and try again.").Because(err)
	}
	return err
}

// notFound is the same for a conversation that never was and for another
// owner's: a stranger learns nothing.
func notFound() *fault.Error {
	return fault.New(fault.NotFound, "conversation_not_found",
		"There is no such conversation. Leave conversation_id out to begin a new one.")
}

func full() *fault.Error {
	return fault.New(fault.TooLarge, "conversation_full",
		"This conversation has grown to its bound of %d MiB. Begin a new one.", maxRecord>>20)
}

// NewID returns a new id, of a conversation or a job: 130 random bits.
func NewID() string { return strings.ToLower(rand.Text()) }

// ValidID reports whether id has the form of an id.
func ValidID(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Folder returns where an owner's records of a kind are stored. The owner is
// part of it, so that another's record cannot be found at all.
func Folder(kind, owner string) string { return kind + "/" + digest("owner", owner)[:32] }

// recordKey returns where the conversation is stored.
func recordKey(owner, id string) (string, error) {
	if !ValidID(id) {
		return "", notFound()
	}
	return Folder("conversations", owner) + "/" + id + ".json", nil
}

// identifier returns the conversation's identifier in the session pool. Whoever
// knows an identifier and has the app's token reaches the session, so it is
// derived one way, and neither shown to a caller nor taken from one.
func identifier(owner, id string) string { return digest("session", owner, id) }

func digest(parts ...string) string {
	encoded, _ := json.Marshal(parts) // a list of strings always encodes, and no two lists alike
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
