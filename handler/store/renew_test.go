package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"keyless/handler/fault"
)

func TestRenew(t *testing.T) {
	const length = maxLease
	down := errors.New("down")
	for name, test := range map[string]struct {
		once  func(try int) error // the outcome of each renewal
		lost  bool
		least time.Duration // how long the lease is kept
		most  time.Duration
	}{
		"always renewed":  {func(int) error { return nil }, false, time.Hour, time.Hour},
		"taken at once":   {func(int) error { return lockLost() }, true, length / 5, length / 3},
		"record is gone":  {func(int) error { return notFound() }, true, length / 5, length / 3},
		"down for good":   {func(int) error { return down }, true, length, length},
		"down and up":     {func(try int) error { return []error{down, nil}[try%2] }, false, time.Hour, time.Hour},
		"down after some": {func(try int) error { return []error{nil, nil, down}[min(try, 2)] }, true, length * 7 / 5, length * 5 / 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began, try := time.Now(), -1
				err := renew(ctx, length, began, func(context.Context) error {
					try++
					return test.once(try)
				})
				if f := fault.From(err); test.lost != (f != nil && f.Code == "record_lock_lost") {
					t.Errorf("got %v, want lost %t", err, test.lost)
				}
				if kept := time.Since(began); kept < test.least || kept > test.most {
					t.Errorf("kept for %v, want %v to %v", kept, test.least, test.most)
				}
			})
		})
	}
}

// A renewal that hangs ends when the lease does.
func TestRenewHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := renew(t.Context(), maxLease, began, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if kept := time.Since(began); err == nil || kept != maxLease {
			t.Errorf("kept for %v: %v", kept, err)
		}
	})
}
