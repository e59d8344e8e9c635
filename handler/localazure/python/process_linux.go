package python

import "syscall"

// processAttributes makes the kernel kill a worker when its parent dies of
// whatever cause, and keeps a terminal's Ctrl-C from it, which is the
// parent's to handle.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
