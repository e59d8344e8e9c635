package store

import (
	"os"

	"golang.org/x/sys/windows"
)

// errLocked is what lockFile returns if another holds the lock.
const errLocked = windows.ERROR_LOCK_VIOLATION

// lockAt is the byte that stands for the lock. A lock here keeps others from
// reading what it covers, so it covers a byte far past a record's end.
func lockAt() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1 << 30} }

// lockFile locks f without waiting. The lock belongs to this opening of the
// file, so it excludes the same process too.
func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, lockAt())
}

func unlockFile(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockAt())
}

// syncDir does nothing: Windows has no such call, and NTFS journals names.
func syncDir(*os.Root, string) error { return nil }
