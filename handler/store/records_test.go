package store_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"keyless/handler/fault"
	"keyless/handler/store"
)

// records is what consumers ask of a store, all of it.
type records interface {
	Create(ctx context.Context, key string, data []byte) error
	Start(ctx context.Context, key string, data []byte, fn func(ctx context.Context) ([]byte, error)) error
	Get(ctx context.Context, key string) ([]byte, error)
	Edit(ctx context.Context, key string, fn func(data []byte) ([]byte, error)) error
	List(ctx context.Context, folder, cursor string, limit int) (keys []string, next string, err error)
	Update(ctx context.Context, key string, fn func(ctx context.Context, data []byte) ([]byte, error)) error
	Remove(ctx context.Context, key string, fn func(ctx context.Context) error) error
}

var (
	_ records = (*store.Dir)(nil)
	_ records = (*store.Blob)(nil)
)

// key is of the one record that most tests are about.
const key = "conversations/0a1b2c/3d4e5f.json"

func create(t *testing.T, s records, data string) {
	t.Helper()
	if err := s.Create(t.Context(), key, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// add appends to the record, which must be free.
func add(t *testing.T, s records, more string) {
	t.Helper()
	err := s.Update(t.Context(), key, func(_ context.Context, data []byte) ([]byte, error) {
		return append(data, more...), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantRecord(t *testing.T, s records, want string) {
	t.Helper()
	if got, err := s.Get(t.Context(), key); string(got) != want || err != nil {
		t.Errorf("the record is %q, %v, want %q", got, err, want)
	}
}

func wantCode(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	f := fault.From(err)
	if f == nil || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, want %v %s", err, kind, code)
	}
}

func wantBusy(t *testing.T, s records) {
	t.Helper()
	wantCode(t, s.Update(t.Context(), key, neverUpdate(t)), fault.Conflict, "record_busy")
	wantCode(t, s.Remove(t.Context(), key, neverRemove(t)), fault.Conflict, "record_busy")
}

func neverUpdate(t *testing.T) func(context.Context, []byte) ([]byte, error) {
	return func(context.Context, []byte) ([]byte, error) {
		t.Error("fn was called")
		return nil, nil
	}
}

func neverRemove(t *testing.T) func(context.Context) error {
	return func(context.Context) error {
		t.Error("fn was called")
		return nil
	}
}

// patiently updates the record, waiting while it is busy.
func patiently(t *testing.T, s records, fn func(context.Context, []byte) ([]byte, error)) {
	t.Helper()
	retry(t, func() error { return s.Update(t.Context(), key, fn) })
}

// retry calls do until the record is not busy.
func retry(t *testing.T, do func() error) {
	t.Helper()
	for {
		err := do()
		if err == nil {
			return
		}
		if fault.From(err).Code != "record_busy" {
			t.Error(err)
			return
		}
		if !pause(t.Context(), 100*time.Millisecond) {
			return
		}
	}
}

// pause waits for up to most, and reports whether ctx still goes on.
func pause(ctx context.Context, most time.Duration) bool {
	select {
	case <-time.After(rand.N(most)):
		return true
	case <-ctx.Done():
		return false
	}
}
