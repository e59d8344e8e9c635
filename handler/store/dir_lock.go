package store

import (
	"context"
	"os"
	"path"
)

// lockedFile is a record of a Dir whose lock we hold.
type lockedFile struct {
	dir  *Dir
	key  string
	file *os.File // open, and locked by us
}

var _ held = (*lockedFile)(nil)

// lock locks a record.
//
// A write replaces the record's file and a removal unlinks it, so the file
// that was locked may have become another than the key's between opening and
// locking it. Then the lock is worth nothing and the new file is tried. The
// holder replaces or unlinks the file as its last act, so whoever gets the
// lock of the key's present file is alone.
func (d *Dir) lock(ctx context.Context, key string) (*lockedFile, error) {
	for {
		if err := start(ctx, key); err != nil {
			return nil, err
		}
		file, err := d.root.Open(key)
		if err != nil {
			return nil, dirFault("lock", key, err)
		}
		if err := lockFile(file); err != nil {
			_ = file.Close()
			return nil, dirFault("lock", key, err)
		}
		l := &lockedFile{d, key, file}
		if l.current() {
			return l, nil
		}
		l.unlock(ctx)
	}
}

// current reports whether the locked file is still the key's.
func (l *lockedFile) current() bool {
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	present, err := l.dir.root.Stat(l.key)
	return err == nil && os.SameFile(locked, present)
}

func (l *lockedFile) read(ctx context.Context) ([]byte, error) {
	return l.dir.Get(ctx, l.key)
}

func (l *lockedFile) write(_ context.Context, data []byte) error {
	temp, err := l.dir.writeTemp(l.key, data)
	if err != nil {
		return err
	}
	if err := l.dir.root.Rename(temp, l.key); err != nil {
		_ = l.dir.root.Remove(temp)
		return dirFault("replace", l.key, err)
	}
	return l.syncName()
}

func (l *lockedFile) remove(context.Context) error {
	if err := l.dir.root.Remove(l.key); err != nil {
		return dirFault("remove", l.key, err)
	}
	return l.syncName()
}

// syncName puts the change of the record's name on disk.
func (l *lockedFile) syncName() error {
	if err := syncDir(l.dir.root, path.Dir(l.key)); err != nil {
		return dirFault("keep the change of", l.key, err)
	}
	return nil
}

// unlock unlocks before it closes: a child process that is just being started
// shares the open file for a moment, and the lock with it.
func (l *lockedFile) unlock(context.Context) {
	_ = unlockFile(l.file)
	_ = l.file.Close()
}
