//go:build unix

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// errLocked is what lockFile returns if another holds the lock.
const errLocked = unix.EWOULDBLOCK

// lockFile locks f without waiting. The lock belongs to this opening of the
// file, so it excludes the same process too.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// syncDir puts the names in a directory on disk.
func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
