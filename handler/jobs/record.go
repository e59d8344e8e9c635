package jobs

import (
	"context"
	"encoding/json"
	"fmt"

	"keyless/handler/conversation"
	"keyless/handler/fault"
)

// record is a job as it is stored.
type record struct {
	Job
	Owner   string `json:"owner"`
	Request string `json:"request"` // digest of what was asked
}

// message is what the queue carries: the record as it was at first. It has one
// field, an object, so that nothing in it can pass for the broker's own
// metadata (the host copies a body's plain fields over those).
type message struct {
	Job json.RawMessage `json:"job"`
}

// same returns the job if r asks for just that, under its key.
func (r *record) same(asked Request) (Job, error) {
	if r.Request != asked.digest() {
		return Job{}, fault.New(fault.Conflict, "idempotency_key_reused",
			"Another job was submitted with this Idempotency-Key. Use a new key for a new job.")
	}
	return r.Job, nil
}

// load reads the record of the owner's job. One that has expired is gone.
func (s *Service) load(ctx context.Context, owner, id string) (*record, error) {
	if !conversation.ValidID(id) {
		return nil, notFound()
	}
	data, err := s.Store.Get(ctx, recordKey(owner, id))
	if fault.Is(err, fault.NotFound) {
		return nil, notFound().Because(err)
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(data)
	if err == nil && s.Now().After(r.ExpiresAt) {
		return nil, notFound()
	}
	return r, err
}

// edit changes the record of the owner's job by fn, which may be called again.
// fn's error ends the edit. It returns the record as it then is.
func (s *Service) edit(ctx context.Context, owner, id string, fn func(r *record) error) (*record, error) {
	if !conversation.ValidID(id) {
		return nil, notFound()
	}
	var r *record
	err := s.Store.Edit(ctx, recordKey(owner, id), func(data []byte) ([]byte, error) {
		var err error
		if r, err = decodeRecord(data); err != nil {
			return nil, err
		}
		if err := fn(r); err != nil {
			return nil, err
		}
		return json.Marshal(r)
	})
	if fault.Is(err, fault.NotFound) {
		err = notFound().Because(err)
	}
	return r, err
}

func decodeRecord(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("decode job record: %w", err)
	}
	return &r, nil
}

// recordKey returns where a job is stored.
func recordKey(owner, id string) string { return folder(owner) + "/" + id + ".json" }

func folder(owner string) string { return conversation.Folder("jobs", owner) }

func notFound() *fault.Error {
	return fault.New(fault.NotFound, "job_not_found", "There is no such job. Jobs are kept for %d days.", int(retention.Hours()/24))
}
