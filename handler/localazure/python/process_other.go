//go:build !unix

package python

import "syscall"

// processAttributes has nothing to add here. A worker whose parent dies ends
// with its stdin.
func processAttributes() *syscall.SysProcAttr { return nil }
