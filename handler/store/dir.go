package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// tempMark parts a temporary file's name from the record's. No key holds it.
	tempMark = "~"
	// tempAge is how old a temporary file is before it is taken for what a
	// crash left behind; writing one takes far less.
	tempAge = time.Hour
)

// Dir keeps records as files of a directory, for one machine. Any number of
// processes may share the directory, and a Dir is safe for concurrent use. A
// record is on disk when the method that wrote it returns, and is never seen
// half written. A key may not lie below another ("a" and "a/b").
//
// A lock is the kernel's lock (flock; LockFileEx on Windows) on the record's
// own file, so that it goes with the process, and no lock files are left over.
type Dir struct{ root *os.Root }

// OpenDir returns a Dir that keeps its records in the directory at name, which
// it makes if need be. It clears away what crashes left there.
func OpenDir(name string) (*Dir, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, fmt.Errorf("make the records' directory: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the records' directory: %w", err)
	}
	d := &Dir{root}
	if err := d.sweep(time.Now().Add(-tempAge)); err != nil {
		return nil, errors.Join(fmt.Errorf("clear the records' directory: %w", err), d.Close())
	}
	return d, nil
}

// Close frees the directory's handle. No method may be called after it.
func (d *Dir) Close() error { return d.root.Close() }

// Create writes a new record. It returns fault.Conflict (record_exists) if the
// key is taken.
func (d *Dir) Create(ctx context.Context, key string, data []byte) error {
	if err := start(ctx, key); err != nil {
		return err
	}
	if err := d.root.MkdirAll(path.Dir(key), 0o700); err != nil {
		return dirFault("make the directory of", key, err)
	}
	temp, err := d.writeTemp(key, data)
	if err != nil {
		return err
	}
	defer func() { _ = d.root.Remove(temp) }() // swept later if this fails
	// A link, unlike a rename, fails if the key is taken.
	if err := d.root.Link(temp, key); err != nil {
		return dirFault("create", key, err)
	}
	return d.syncDirs(key)
}

// Get reads a record. It returns fault.NotFound (record_not_found).
func (d *Dir) Get(ctx context.Context, key string) ([]byte, error) {
	if err := start(ctx, key); err != nil {
		return nil, err
	}
	data, err := d.root.ReadFile(key)
	if err != nil {
		return nil, dirFault("read", key, err)
	}
	return data, nil
}

// Update locks the record, hands fn its content, writes what fn returns unless
// that is nil (also when fn returns an error besides), unlocks, and returns
// fn's error, joined with that of the write if it failed. It returns
// fault.NotFound (record_not_found), and fault.Conflict (record_busy) at once
// if another holds the lock. What fn did is written even if ctx has ended.
func (d *Dir) Update(ctx context.Context, key string, fn func(ctx context.Context, data []byte) ([]byte, error)) error {
	f, err := d.lock(ctx, key)
	if err != nil {
		return err
	}
	return update(ctx, f, fn)
}

// Start creates a record, locks it, and goes on as Update does, without
// reading it again. Its errors are those of Create and Update; a record whose
// key nobody else knows yet is not busy.
func (d *Dir) Start(ctx context.Context, key string, data []byte, fn func(ctx context.Context) ([]byte, error)) error {
	if err := d.Create(ctx, key, data); err != nil {
		return err
	}
	f, err := d.lock(ctx, key)
	if err != nil {
		return err
	}
	return started(ctx, f, fn)
}

// Remove locks the record, runs fn, and deletes the record if fn succeeds. Its
// errors are those of Update.
func (d *Dir) Remove(ctx context.Context, key string, fn func(ctx context.Context) error) error {
	f, err := d.lock(ctx, key)
	if err != nil {
		return err
	}
	return remove(ctx, f, fn)
}

// writeTemp writes data to a file of its own beside the record's, down to the
// disk, and returns its name.
func (d *Dir) writeTemp(key string, data []byte) (string, error) {
	temp := key + tempMark + rand.Text()
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", dirFault("write", key, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = d.root.Remove(temp) // the first error says more
		return "", dirFault("write", key, err)
	}
	return temp, nil
}

// syncDirs puts the names that lead to key on disk.
func (d *Dir) syncDirs(key string) error {
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		if err := syncDir(d.root, dir); err != nil {
			return dirFault("keep the name of", key, err)
		}
		if dir == "." {
			return nil
		}
	}
}

// sweep removes temporary files older than before.
func (d *Dir) sweep(before time.Time) error {
	return fs.WalkDir(d.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process is at work here
		}
		if err != nil || entry.IsDir() || !strings.Contains(entry.Name(), tempMark) {
			return err
		}
		if info, err := entry.Info(); err != nil || info.ModTime().After(before) {
			return nil
		}
		_ = d.root.Remove(name) // the next start tries again
		return nil
	})
}

// start returns what keeps a method from starting: a wrong key, an ended ctx.
func start(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// dirFault classifies an error of the file system.
func dirFault(doing, key string, err error) error {
	cause := fmt.Errorf("%s record %s: %w", doing, key, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notFound().Because(cause)
	case errors.Is(err, fs.ErrExist):
		return exists().Because(cause)
	case errors.Is(err, errLocked):
		return busy().Because(cause)
	}
	return cause
}
