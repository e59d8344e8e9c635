package python

import (
	"io/fs"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// errQuota is what the code gets when a quota is used up. wazero knows no
// ENOSPC and no EMFILE.
const errQuota = experimentalsys.EIO

// maxOpen bounds the files that are open at once: each takes memory of the
// worker's, beside what the code can have, and the worker needs some itself.
const maxOpen = 512

// quota bounds the space that a directory takes. It keeps a lower bound of
// what is left: growth is taken off, what is deleted is not put back. Only
// when the bound does not suffice is the directory measured.
type quota struct {
	fs       *dataFS
	maxBytes int64
	maxFiles int // files and directories

	bytesLeft int64
	filesLeft int
	open      map[*dataFile]bool
}

// forget makes the next taker measure.
func (q *quota) forget() { q.bytesLeft, q.filesLeft = 0, 0 }

// takeFile takes one file or directory and reports whether there was one left.
func (q *quota) takeFile() bool {
	if q.filesLeft < 1 {
		q.measure()
	}
	if q.filesLeft < 1 {
		return false
	}
	q.filesLeft--
	return true
}

// takeBytes takes n bytes and reports whether there were as many left.
func (q *quota) takeBytes(n int64) bool {
	if n <= 0 {
		return true
	}
	if q.bytesLeft < n {
		q.measure()
	}
	if q.bytesLeft < n {
		return false
	}
	q.bytesLeft -= n
	return true
}

// measure finds out what is left. A file that is deleted but still open takes
// space too. Files count with their length, even if the disk has holes for it.
func (q *quota) measure() {
	q.bytesLeft, q.filesLeft = q.maxBytes, q.maxFiles
	_ = fs.WalkDir(q.fs.root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return nil // deleted meanwhile by the host
		}
		q.filesLeft--
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			q.bytesLeft -= info.Size()
		}
		return nil
	})
	for file := range q.open {
		if info, err := file.handle.Stat(); err == nil && sys.NewStat_t(info).Nlink == 0 {
			q.bytesLeft -= info.Size()
		}
	}
}
