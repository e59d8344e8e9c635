package store_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"keyless/handler/fault"
	"keyless/handler/store"
)

func TestDir(t *testing.T) {
	testStore(t, func(t *testing.T) backend {
		dir := t.TempDir()
		return backend{records: openDir(t, dir), env: []string{holdDir + "=" + dir}}
	})
}

func openDir(t testing.TB, name string) *store.Dir {
	t.Helper()
	d, err := store.OpenDir(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// Others on the machine may not read what people said.
func TestDirIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	dir := filepath.Join(t.TempDir(), "state")
	s := openDir(t, dir)
	create(t, s, "one")
	add(t, s, " two")
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Work leaves nothing behind but the record: no lock file, no temporary file.
func TestDirLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	create(t, s, "one")
	if err := s.Update(t.Context(), "conversations/0a1b2c/other.json", neverUpdate(t)); err == nil {
		t.Error("updated a record that is not there")
	}
	add(t, s, " two")
	if got := fileNames(t, dir); len(got) != 1 || got[0] != filepath.FromSlash(key) {
		t.Errorf("files %q, want the record alone", got)
	}
}

// What a crash left is cleared at a later start, and what another process is
// writing is not.
func TestDirSweeps(t *testing.T) {
	dir := t.TempDir()
	create(t, openDir(t, dir), "one")
	record := filepath.Join(dir, filepath.FromSlash(key))
	for name, age := range map[string]time.Duration{"~OLD": 2 * time.Hour, "~NEW": 0} {
		if err := os.WriteFile(record+name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(record+name, then, then); err != nil {
			t.Fatal(err)
		}
	}
	s := openDir(t, dir)
	wantRecord(t, s, "one")
	if got := fileNames(t, dir); len(got) != 2 || got[1] != filepath.FromSlash(key)+"~NEW" {
		t.Errorf("files %q, want the record and the new temporary file", got)
	}
}

// A link that somebody put in the directory does not lead out of it.
func TestDirStaysInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "conversations")); err != nil {
		t.Skip(err)
	}
	s := openDir(t, dir)
	if err := s.Create(t.Context(), key, []byte("one")); err == nil {
		t.Error("created a record outside")
	}
	if got := fileNames(t, outside); len(got) != 0 {
		t.Errorf("files outside: %q", got)
	}
}

// The file that is locked is replaced all the time while others open it. None
// of them may take the lock of a replaced file for the record's.
func TestDirReplacedUnderLock(t *testing.T) {
	const updaters, rounds = 8, 50
	dir := t.TempDir()
	create(t, openDir(t, dir), "")
	var all sync.WaitGroup
	for range updaters {
		s := openDir(t, dir)
		all.Go(func() {
			for done := 0; done < rounds; runtime.Gosched() {
				err := s.Update(t.Context(), key, func(_ context.Context, data []byte) ([]byte, error) {
					return append(data, '+'), nil
				})
				if err == nil {
					done++
				} else if fault.From(err).Code != "record_busy" {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	wantRecord(t, openDir(t, dir), strings.Repeat("+", updaters*rounds))
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, err = filepath.Rel(dir, name)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func BenchmarkDirUpdate(b *testing.B) { benchmarkUpdate(b, openDir(b, b.TempDir())) }
