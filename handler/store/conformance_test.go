package store_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"keyless/handler/fault"
)

// backend is a store under test, with nothing in it.
type backend struct {
	records
	env   []string      // tells another process how to open it
	frees time.Duration // how long a killed holder blocks a record at most
}

// testStore runs what every store must do.
func testStore(t *testing.T, open func(t *testing.T) backend) {
	for name, test := range map[string]func(*testing.T, backend){
		"create":             testCreate,
		"start":              testStart,
		"edit":               testEdit,
		"many edits":         testManyEdits,
		"list":               testList,
		"missing record":     testMissing,
		"wrong key":          testWrongKey,
		"update":             testUpdate,
		"update and fail":    testUpdateAndFail,
		"remove":             testRemove,
		"remove and fail":    testRemoveAndFail,
		"busy here":          testBusyHere,
		"busy elsewhere":     testBusyElsewhere,
		"killed elsewhere":   testKilled,
		"panic":              testPanic,
		"caller gone before": testCanceledBefore,
		"caller gone during": testCanceledDuring,
		"many updates":       testManyUpdates,
		"many creates":       testManyCreates,
		"reused key":         testReusedKey,
		"large record":       testLarge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func testCreate(t *testing.T, s backend) {
	create(t, s, "one")
	wantCode(t, s.Create(t.Context(), key, []byte("two")), fault.Conflict, "record_exists")
	wantRecord(t, s, "one")
	if err := s.Create(t.Context(), "empty.json", nil); err != nil {
		t.Errorf("create an empty record at the top: %v", err)
	}
	if data, err := s.Get(t.Context(), "empty.json"); len(data) != 0 || err != nil {
		t.Errorf("the empty record is %q, %v", data, err)
	}
	// A held record exists as well, which Blob Storage may say in other words.
	err := s.Update(t.Context(), key, func(ctx context.Context, _ []byte) ([]byte, error) {
		return nil, s.Create(ctx, key, []byte("three"))
	})
	wantCode(t, err, fault.Conflict, "record_exists")
}

func testStart(t *testing.T, s backend) {
	err := s.Start(t.Context(), key, []byte("one"), func(ctx context.Context) ([]byte, error) {
		wantRecord(t, s, "one")
		wantCode(t, s.Update(ctx, key, neverUpdate(t)), fault.Conflict, "record_busy")
		return []byte("two"), context.Canceled
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want what fn returned", err)
	}
	wantRecord(t, s, "two")
	err = s.Start(t.Context(), key, []byte("three"), func(context.Context) ([]byte, error) {
		t.Error("a key that is taken was started")
		return nil, nil
	})
	wantCode(t, err, fault.Conflict, "record_exists")
	if err := s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { return []byte("four"), nil }); err != nil {
		t.Errorf("update after start: %v", err)
	}
}

func testEdit(t *testing.T, s backend) {
	edit := func(next []byte, err error) error {
		return s.Edit(t.Context(), key, func([]byte) ([]byte, error) { return next, err })
	}
	wantCode(t, edit([]byte("x"), nil), fault.NotFound, "record_not_found")
	create(t, s, "one")
	if err := edit([]byte("two"), nil); err != nil {
		t.Error(err)
	}
	wantRecord(t, s, "two")
	if err := edit(nil, nil); err != nil {
		t.Error(err)
	}
	if err := edit([]byte("three"), context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("Edit = %v, want fn's error", err)
	}
	wantRecord(t, s, "two")
}

func testManyEdits(t *testing.T, s backend) {
	create(t, s, "0")
	const writers = 12
	var done sync.WaitGroup
	for range writers {
		done.Go(func() {
			err := s.Edit(t.Context(), key, func(data []byte) ([]byte, error) {
				n, err := strconv.Atoi(string(data))
				return []byte(strconv.Itoa(n + 1)), err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	wantRecord(t, s, strconv.Itoa(writers))
}

func testList(t *testing.T, s backend) {
	if keys, next, err := s.List(t.Context(), "list/mine", "", 10); len(keys) > 0 || next != "" || err != nil {
		t.Errorf("an empty folder: %q %q %v", keys, next, err)
	}
	var want []string
	for n := range 7 {
		name := "list/mine/" + strconv.Itoa(n) + ".json"
		want = append(want, name)
		if err := s.Create(t.Context(), name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Create(t.Context(), "list/other/0.json", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for cursor := ""; ; {
		keys, next, err := s.List(t.Context(), "list/mine", cursor, 3)
		if err != nil || len(keys) > 3 {
			t.Fatalf("a page: %q %v", keys, err)
		}
		got = append(got, keys...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func testMissing(t *testing.T, s backend) {
	_, err := s.Get(t.Context(), key)
	wantCode(t, err, fault.NotFound, "record_not_found")
	wantCode(t, s.Update(t.Context(), key, neverUpdate(t)), fault.NotFound, "record_not_found")
	wantCode(t, s.Remove(t.Context(), key, neverRemove(t)), fault.NotFound, "record_not_found")
}

func testWrongKey(t *testing.T, s backend) {
	const wrong = "../outside.json"
	_, err := s.Get(t.Context(), wrong)
	for _, err := range []error{
		err,
		s.Create(t.Context(), wrong, []byte("x")),
		s.Update(t.Context(), wrong, neverUpdate(t)),
		s.Remove(t.Context(), wrong, neverRemove(t)),
	} {
		wantCode(t, err, fault.Invalid, "record_key_invalid")
	}
}

func testUpdate(t *testing.T, s backend) {
	create(t, s, "one")
	add(t, s, " two")
	wantRecord(t, s, "one two")
	err := s.Update(t.Context(), key, func(_ context.Context, data []byte) ([]byte, error) {
		data[0] = 'X' // ours to spoil
		return nil, nil
	})
	if err != nil {
		t.Errorf("update nothing: %v", err)
	}
	wantRecord(t, s, "one two")
	add(t, s, " three")
	wantRecord(t, s, "one two three")
}

func testUpdateAndFail(t *testing.T, s backend) {
	create(t, s, "one")
	failed := errors.New("failed")
	err := s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { return []byte("two"), failed })
	if err != failed {
		t.Errorf("got %v, want fn's own error", err)
	}
	wantRecord(t, s, "two")
	err = s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { return nil, failed })
	if err != failed {
		t.Errorf("got %v, want fn's own error", err)
	}
	wantRecord(t, s, "two")
	add(t, s, "!")
}

func testRemove(t *testing.T, s backend) {
	create(t, s, "one")
	err := s.Remove(t.Context(), key, func(ctx context.Context) error {
		wantRecord(t, s, "one")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	testMissing(t, s)
	create(t, s, "again")
	wantRecord(t, s, "again")
}

func testRemoveAndFail(t *testing.T, s backend) {
	create(t, s, "one")
	failed := errors.New("failed")
	if err := s.Remove(t.Context(), key, func(context.Context) error { return failed }); err != failed {
		t.Errorf("got %v, want fn's own error", err)
	}
	wantRecord(t, s, "one")
	add(t, s, "!")
}

func testBusyHere(t *testing.T, s backend) {
	create(t, s, "one")
	err := s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) {
		wantBusy(t, s)
		wantRecord(t, s, "one") // which a lock does not hide
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Remove(t.Context(), key, func(context.Context) error {
		wantBusy(t, s)
		return errors.New("keep it")
	})
	if err == nil {
		t.Error("removed, although fn failed")
	}
	add(t, s, "!")
}

func testBusyElsewhere(t *testing.T, s backend) {
	create(t, s, "one")
	other := startHolder(t, key, s.env)
	wantBusy(t, s)
	wantRecord(t, s, "one")
	other.finish(t)
	add(t, s, "!")
	wantRecord(t, s, "one+!")
}

func testKilled(t *testing.T, s backend) {
	create(t, s, "one")
	other := startHolder(t, key, s.env)
	wantBusy(t, s)
	other.kill(t)
	killed := time.Now()
	patiently(t, s, func(_ context.Context, data []byte) ([]byte, error) { return append(data, '!'), nil })
	// The slack is for a busy machine, and is nothing beside a lock that stays.
	if took, most := time.Since(killed), s.frees+10*time.Second; took > most {
		t.Errorf("the record was free after %v, want at most %v", took, most)
	}
	wantRecord(t, s, "one!")
}

func testPanic(t *testing.T, s backend) {
	create(t, s, "one")
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want fn's panic", got)
			}
		}()
		_ = s.Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { panic("boom") })
	}()
	add(t, s, "!")
	wantRecord(t, s, "one!")
}

func testCanceledBefore(t *testing.T, s backend) {
	create(t, s, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, key)
	for _, err := range []error{
		err,
		s.Create(ctx, "other.json", nil),
		s.Update(ctx, key, neverUpdate(t)),
		s.Remove(ctx, key, neverRemove(t)),
	} {
		if !fault.Is(err, fault.Canceled) {
			t.Errorf("got %v, want it canceled", err)
		}
	}
	add(t, s, "!")
}

func testCanceledDuring(t *testing.T, s backend) {
	create(t, s, "one")
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, key, func(ctx context.Context, data []byte) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return append(data, " two"...), context.Cause(ctx)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want fn's error", err)
	}
	wantRecord(t, s, "one two")
	add(t, s, "!")

	ctx, cancel = context.WithCancel(t.Context())
	err = s.Remove(ctx, key, func(context.Context) error {
		cancel()
		return nil
	})
	if err != nil {
		t.Errorf("remove: %v", err)
	}
	testMissing(t, s)
}

func testManyUpdates(t *testing.T, s backend) {
	const updaters = 64
	create(t, s, "0")
	var all sync.WaitGroup
	for range updaters {
		all.Go(func() {
			patiently(t, s, func(_ context.Context, data []byte) ([]byte, error) {
				n, err := strconv.Atoi(string(data))
				return strconv.AppendInt(nil, int64(n+1), 10), err
			})
		})
	}
	all.Wait()
	wantRecord(t, s, strconv.Itoa(updaters))
}

func testManyCreates(t *testing.T, s backend) {
	const creators = 16
	won := make(chan string, creators)
	var all sync.WaitGroup
	for i := range creators {
		all.Go(func() {
			mine := strconv.Itoa(i)
			if err := s.Create(t.Context(), key, []byte(mine)); err == nil {
				won <- mine
			} else {
				wantCode(t, err, fault.Conflict, "record_exists")
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d creators won, want 1", len(won))
	}
	wantRecord(t, s, <-won)
}

// testReusedKey removes and creates a record over and over while others update
// it. An update that locked the record of before must not touch the new one.
func testReusedKey(t *testing.T, s backend) {
	ctx, stop := context.WithCancel(t.Context())
	var updaters sync.WaitGroup
	for range 4 {
		updaters.Go(func() {
			for pause(ctx, 10*time.Millisecond) {
				err := s.Update(t.Context(), key, func(_ context.Context, data []byte) ([]byte, error) {
					return append(data, '+'), nil
				})
				if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
					t.Errorf("update: %v", err)
					return
				}
			}
		})
	}
	for round := range 20 {
		name := strconv.Itoa(round)
		create(t, s, name)
		retry(t, func() error {
			return s.Remove(t.Context(), key, func(ctx context.Context) error {
				data, err := s.Get(ctx, key)
				if got := string(bytes.TrimRight(data, "+")); got != name {
					t.Errorf("the record of round %s is that of %q", name, got)
				}
				return err
			})
		})
		_, err := s.Get(t.Context(), key)
		wantCode(t, err, fault.NotFound, "record_not_found")
	}
	stop()
	updaters.Wait()
}

func testLarge(t *testing.T, s backend) {
	const size = 8 << 20
	large := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	create(t, s, string(large))
	add(t, s, "!")
	got, err := s.Get(t.Context(), key)
	if err != nil || !bytes.Equal(got, append(large, '!')) {
		t.Errorf("got %d bytes, %v, want the %d that were written", len(got), err, size+1)
	}
}
