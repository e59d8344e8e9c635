package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"keyless/handler/conversation"
	"keyless/handler/fault"
)

// patience bounds what Work waits out in one delivery: a conversation that
// another turn holds (a dead holder's lock lasts 60 s), or a service that
// turns us away. A message that is given back is delivered again at once, so
// to wait here is what keeps its deliveries from burning up.
const patience = 3 * time.Minute

// ErrPoison tells that a message holds no job. To deliver it again is useless.
var ErrPoison = errors.New("the message holds no job")

// Work does the job that a delivered message holds. last tells that the queue
// gives the message up after this delivery, as far as that is known.
//
// It returns nil when the job has ended, be it well or badly, now or at an
// earlier delivery: the message is done with. It returns [ErrPoison] for a
// message that is none of ours, and any other error when the message should be
// delivered again. What came of the job is recorded before Work returns.
func (s *Service) Work(ctx context.Context, body []byte, last bool) error {
	r, err := s.admit(ctx, body)
	if err != nil || r.State.Final() {
		return err
	}
	for giveUp := s.Now().Add(patience); ; {
		wait, err := s.attempt(ctx, r)
		left := giveUp.Sub(s.Now())
		switch {
		case err == nil:
			return nil
		case left > 0 && pause(ctx, min(wait, left)):
		case last && ctx.Err() == nil:
			return errors.Join(err, s.end(ctx, r, platformError(err)))
		default:
			return err
		}
	}
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// admit returns the job's record, and makes it where whoever sent the message
// did not live to do so.
func (s *Service) admit(ctx context.Context, body []byte) (*record, error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, errors.Join(ErrPoison, err)
	}
	r, err := decodeRecord(m.Job)
	if err != nil || !r.whole() || s.Now().After(r.ExpiresAt) {
		return nil, errors.Join(ErrPoison, err)
	}
	known, err := s.load(ctx, r.Owner, r.ID)
	if !fault.Is(err, fault.NotFound) {
		return known, err
	}
	err = s.Store.Create(ctx, recordKey(r.Owner, r.ID), m.Job)
	if fault.Is(err, fault.Conflict) {
		return s.load(ctx, r.Owner, r.ID)
	}
	return r, err
}

// whole reports whether a record from a message is one that Submit made.
func (r *record) whole() bool {
	return conversation.ValidID(r.ID) && conversation.ValidID(r.ConversationID) && r.Owner != "" && r.State == Queued &&
		(r.Code == "") != (r.Message == "") && r.MaxAttempts > 0
}

// end records that the job failed outside of an attempt.
func (s *Service) end(ctx context.Context, r *record, why *Error) error {
	_, err := s.edit(ctx, r.Owner, r.ID, func(r *record) error {
		if !r.State.Final() {
			r.Error = why
			r.finish(Failed, s.Now())
		}
		return nil
	})
	return err
}

// finish ends the job.
func (r *record) finish(state State, now time.Time) {
	r.State, r.FinishedAt, r.Steps = state, now.UTC().Truncate(time.Millisecond), nil
}
