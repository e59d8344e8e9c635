//go:build unix && !linux

package python

import "syscall"

// processAttributes keeps a terminal's Ctrl-C from a worker, which is the
// parent's to handle. A worker whose parent dies ends with its stdin.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
