package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// filesPrefix begins the name of a directory with sessions' files; the id of
// the process that made it follows.
const filesPrefix = "keyless-sessions-"

// sessionsDir makes a directory for this run's sessions in parent, and clears
// away those of runs that were killed.
func sessionsDir(parent string) (string, error) {
	old, err := filepath.Glob(filepath.Join(parent, filesPrefix+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if abandoned(filepath.Base(dir)) {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
	return os.MkdirTemp(parent, fmt.Sprintf("%s%d-", filesPrefix, os.Getpid()))
}

// abandoned reports whether the process that made the directory has ended.
func abandoned(name string) bool {
	id, _, _ := strings.Cut(strings.TrimPrefix(name, filesPrefix), "-")
	pid, err := strconv.Atoi(id)
	if err != nil {
		return false
	}
	process, err := os.FindProcess(pid)
	return err == nil && errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// cacheDir returns a directory of this user that outlives the run.
func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory to keep things in (set XDG_CACHE_HOME or HOME): %w", err)
	}
	dir := filepath.Join(base, "keyless", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", dir, err)
	}
	return dir, nil
}
