package store

import (
	"context"
	"errors"
	"time"

	"keyless/handler/fault"
)

const (
	// writeTime bounds the write that follows the work on a record.
	writeTime = 30 * time.Second
	// unlockTime bounds the unlocking. A lease that is not released in it
	// runs out by itself.
	unlockTime = 10 * time.Second
)

// held is a record whose lock we hold. Each store has one.
type held interface {
	read(ctx context.Context) ([]byte, error)
	// write replaces the record's content, and fails if the lock was lost.
	write(ctx context.Context, data []byte) error
	// remove deletes the record, and fails if the lock was lost.
	remove(ctx context.Context) error
	// unlock frees the record, if it is still there and ours.
	unlock(ctx context.Context)
}

// update does the work of Update on a locked record.
func update(ctx context.Context, h held, fn func(ctx context.Context, data []byte) ([]byte, error)) error {
	defer unlock(ctx, h)
	data, err := h.read(ctx)
	if err != nil {
		return err
	}
	return rewrite(ctx, h, func(ctx context.Context) ([]byte, error) { return fn(ctx, data) })
}

// started does the work of Start on a record that was made and locked: nobody
// has written it since, so it is not read.
func started(ctx context.Context, h held, fn func(ctx context.Context) ([]byte, error)) error {
	defer unlock(ctx, h)
	return rewrite(ctx, h, fn)
}

// rewrite runs fn and writes what it returns. ctx ends when the caller goes or
// the lock is lost; what fn did is written all the same, since it may have
// done things that cannot be undone, and only the write itself knows for
// certain whether the lock still holds.
func rewrite(ctx context.Context, h held, fn func(ctx context.Context) ([]byte, error)) error {
	data, err := fn(ctx)
	err = blame(ctx, err)
	if data == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	if failed := h.write(ctx, data); failed != nil {
		return errors.Join(err, failed)
	}
	return err
}

// remove does the work of Remove on a locked record.
func remove(ctx context.Context, h held, fn func(ctx context.Context) error) error {
	defer unlock(ctx, h)
	if err := fn(ctx); err != nil {
		return blame(ctx, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return h.remove(ctx)
}

// blame joins the loss of the lock to fn's error, which may say no more than
// that ctx ended, and would read as if the caller had gone.
func blame(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && fault.Is(cause, fault.Conflict) {
		return errors.Join(cause, err)
	}
	return err
}

// unlock is deferred, so that a record is freed when fn panics too.
func unlock(ctx context.Context, h held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTime)
	defer cancel()
	h.unlock(ctx)
}
