package jobs

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"keyless/handler/fault"
)

// Get returns a job. Where it has not ended, Get waits for that, for at most
// wait, and then returns it as it is. Error: job_not_found.
func (s *Service) Get(ctx context.Context, owner, id string, wait time.Duration) (Job, error) {
	deadline := time.After(wait)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		r, err := s.load(ctx, owner, id)
		if err != nil || r.State.Final() || wait <= 0 {
			return r.job(), err
		}
		select {
		case <-time.After(pause):
		case <-deadline:
			return r.Job, nil
		case <-ctx.Done():
			return Job{}, ctx.Err()
		}
	}
}

func (r *record) job() Job {
	if r == nil {
		return Job{}
	}
	return r.Job
}

// Cancel ends a job. A queued one never runs. For a running one it asks, and
// whoever runs it stops within some seconds: the code's session is ended, its
// variables and files with it. Errors: job_not_found, job_finished.
func (s *Service) Cancel(ctx context.Context, owner, id string) (Job, error) {
	r, err := s.edit(ctx, owner, id, func(r *record) error {
		switch r.State {
		case Queued:
			r.CancelRequested = true
			r.finish(Canceled, s.Now())
		case Running:
			r.CancelRequested = true
		default:
			return fault.New(fault.Conflict, "job_finished", "The job has ended already: it is %s.", r.State)
		}
		return nil
	})
	return r.job(), err
}

// Page is a page of an owner's jobs, without their code and results.
type Page struct {
	Jobs []Job `json:"jobs"`
	// Cursor asks for the next page; empty after the last.
	Cursor string `json:"cursor,omitempty"`
}

// List returns a page of up to limit of the owner's jobs, in order of their
// ids. Error: cursor_invalid.
func (s *Service) List(ctx context.Context, owner, cursor string, limit int) (Page, error) {
	marker, err := openCursor(owner, cursor)
	if err != nil {
		return Page{}, err
	}
	keys, next, err := s.Store.List(ctx, folder(owner), marker, limit)
	if fault.Is(err, fault.Invalid) {
		err = wrongCursor().Because(err)
	}
	if err != nil {
		return Page{}, err
	}
	found := make([]*record, len(keys))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, key := range keys {
		group.Go(func() error {
			id := strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
			var err error
			found[i], err = s.load(ctx, owner, id)
			if fault.Is(err, fault.NotFound) { // expired, or removed meanwhile
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Page{}, err
	}
	page := Page{Jobs: []Job{}, Cursor: sealCursor(owner, next)}
	for _, r := range found {
		if r != nil {
			page.Jobs = append(page.Jobs, r.summary())
		}
	}
	return page, nil
}

func (r *record) summary() Job {
	job := r.Job
	job.Code, job.Message, job.Steps, job.Result = "", "", nil, nil
	return job
}

// sealCursor wraps the store's marker with a check, so that a cursor that was
// cut or changed is told from one that is merely old. It guards against
// mistakes only: whatever the marker says, a listing stays in the owner's folder.
func sealCursor(owner, marker string) string {
	if marker == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(marker)) + "." + cursorCheck(owner, marker)
}

func openCursor(owner, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	encoded, check, _ := strings.Cut(cursor, ".")
	marker, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || check != cursorCheck(owner, string(marker)) {
		return "", wrongCursor()
	}
	return string(marker), nil
}

func cursorCheck(owner, marker string) string {
	return hex.EncodeToString(digest("cursor", owner, marker))[:16]
}

func wrongCursor() *fault.Error {
	return fault.New(fault.Invalid, "cursor_invalid", "The cursor is not one that an earlier page gave. Begin again without it.")
}
