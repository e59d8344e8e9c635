package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"keyless/handler/conversation"
	"keyless/handler/fault"
)

// Request is what a caller submits.
type Request struct {
	Owner          string
	IdempotencyKey string // may be empty; the same key is the same job
	ConversationID string // empty: a new conversation
	Code           string // exactly one of Code and Message is set
	Message        string
	TimeoutSeconds int // for Code; 0: DefaultLimit
	MaxAttempts    int // 0: 3
}

// Submit queues a job and returns it. Where Submit fails after it checked the
// request, the job may have been queued all the same; to submit it again with
// the same IdempotencyKey is safe.
//
// Errors: code_empty, code_too_long, job_ambiguous, timeout_out_of_range,
// attempts_out_of_range, idempotency_key_invalid, idempotency_key_reused,
// conversation_not_found, and those of the store and the queue.
func (s *Service) Submit(ctx context.Context, r Request) (Job, error) {
	if err := r.check(); err != nil {
		return Job{}, err
	}
	id := conversation.NewID()
	if r.IdempotencyKey != "" {
		id = derivedID(r.Owner, r.IdempotencyKey)
		if known, err := s.load(ctx, r.Owner, id); err == nil {
			return known.same(r)
		} else if !fault.Is(err, fault.NotFound) {
			return Job{}, err
		}
	}
	conversationID, err := s.conversation(ctx, r)
	if err != nil {
		return Job{}, err
	}
	rec := s.newRecord(id, conversationID, r)
	data, err := json.Marshal(rec)
	if err != nil {
		return Job{}, fmt.Errorf("encode job: %w", err)
	}
	// First the queue, which has the whole job, then the record: a process
	// that dies in between has lost nothing.
	body, err := json.Marshal(message{Job: data})
	if err != nil {
		return Job{}, fmt.Errorf("encode job message: %w", err)
	}
	if err := s.Sender.Send(ctx, id, conversationID, body); err != nil {
		return Job{}, err
	}
	err = s.Store.Create(ctx, recordKey(r.Owner, id), data)
	if fault.Is(err, fault.Conflict) { // a worker, or a twin of this request, was faster
		known, err := s.load(ctx, r.Owner, id)
		if err != nil {
			return Job{}, err
		}
		return known.same(r)
	}
	return rec.Job, err
}

// conversation returns the conversation that the job is to run in.
func (s *Service) conversation(ctx context.Context, r Request) (string, error) {
	if r.ConversationID == "" {
		return s.Turns.Create(ctx, r.Owner)
	}
	_, err := s.Turns.Get(ctx, r.Owner, r.ConversationID, 0, 1)
	return r.ConversationID, err
}

func (r Request) check() error {
	switch {
	case (r.Code == "") == (r.Message == ""):
		return fault.New(fault.Invalid, "job_ambiguous", "Send either `code` or `message`, not both and not neither.")
	case len(r.Code) > MaxCode:
		return fault.New(fault.TooLarge, "code_too_long", "The code has %d bytes; at most %d are allowed.", len(r.Code), MaxCode)
	case r.Code != "" && strings.TrimSpace(r.Code) == "":
		return fault.New(fault.Invalid, "code_empty", "The code is blank.")
	case !utf8.ValidString(r.Code):
		return fault.New(fault.Invalid, "code_not_utf8", "The code is not valid UTF-8.")
	case r.Message != "" && r.TimeoutSeconds != 0:
		return fault.New(fault.Invalid, "timeout_out_of_range", "`timeout_seconds` is for `code`; a turn has its own limits.")
	case r.TimeoutSeconds < 0 || r.TimeoutSeconds > int(MaxLimit.Seconds()):
		return fault.New(fault.Invalid, "timeout_out_of_range", "`timeout_seconds` must be from 1 to %d.", int(MaxLimit.Seconds()))
	case r.MaxAttempts < 0 || r.MaxAttempts > MaxAttempts:
		return fault.New(fault.Invalid, "attempts_out_of_range", "`max_attempts` must be from 1 to %d.", MaxAttempts)
	case len(r.IdempotencyKey) > 200:
		return fault.New(fault.Invalid, "idempotency_key_invalid", "The Idempotency-Key has more than 200 bytes.")
	case r.Message != "":
		return conversation.CheckMessage(r.Message)
	}
	return nil
}

// derivedID makes an idempotency key into an id of the usual form.
func derivedID(owner, key string) string {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(digest(owner, key))[:26]
}

func digest(parts ...string) []byte {
	encoded, _ := json.Marshal(parts) // a list of strings always encodes, and no two lists alike
	sum := sha256.Sum256(encoded)
	return sum[:]
}

func (s *Service) newRecord(id, conversationID string, r Request) *record {
	now := s.Now().UTC().Truncate(time.Millisecond)
	job := Job{ID: id, ConversationID: conversationID, State: Queued, Code: r.Code, Message: r.Message,
		TimeoutSeconds: r.TimeoutSeconds, MaxAttempts: r.MaxAttempts, CreatedAt: now, ExpiresAt: now.Add(retention)}
	if job.MaxAttempts == 0 {
		job.MaxAttempts = 3
	}
	if job.Code != "" && job.TimeoutSeconds == 0 {
		job.TimeoutSeconds = int(DefaultLimit.Seconds())
	}
	return &record{Job: job, Owner: r.Owner, Request: r.digest()}
}

// digest tells two requests apart that bear one idempotency key.
func (r Request) digest() string {
	return fmt.Sprintf("%x", digest(r.ConversationID, r.Code, r.Message, fmt.Sprint(r.TimeoutSeconds), fmt.Sprint(r.MaxAttempts)))
}
