package python

import (
	"encoding/json"
	"io/fs"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// control is the file /ctl/ctl, over which the driver gets cells and reports.
// It is a file of its own so that the code has its stdin, stdout and stderr
// to itself. The driver opens it; nobody can a second time.
type control struct {
	experimentalsys.UnimplementedFile
	// receive waits for the next frame for the driver.
	receive func() ([]byte, error)
	// send takes a report of the driver.
	send func(report) error

	opened bool
	unread []byte // the rest of a frame
}

// Read gives the driver the next bytes, or waits for a cell.
func (c *control) Read(buf []byte) (int, experimentalsys.Errno) {
	if len(c.unread) == 0 {
		frame, err := c.receive()
		if err != nil {
			return 0, experimentalsys.EIO
		}
		c.unread = frame
	}
	n := copy(buf, c.unread)
	c.unread = c.unread[n:]
	return n, 0
}

// Write takes one frame; the driver writes each in one go. What is no frame
// came from the user's code, which can find this file, and is refused.
func (c *control) Write(buf []byte) (int, experimentalsys.Errno) {
	var r report
	if len(buf) > maxReport || json.Unmarshal(buf, &r) != nil {
		return 0, experimentalsys.EINVAL
	}
	if err := c.send(r); err != nil {
		return 0, experimentalsys.EIO
	}
	return len(buf), 0
}

// Stat describes a pipe: something to read on and on.
func (c *control) Stat() (sys.Stat_t, experimentalsys.Errno) {
	return sys.Stat_t{Mode: fs.ModeNamedPipe | 0o600, Nlink: 1}, 0
}

// controlDir is the directory /ctl, with the control file in it.
type controlDir struct {
	experimentalsys.UnimplementedFS
	file *control
}

func (d controlDir) OpenFile(path string, _ experimentalsys.Oflag, _ fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	switch {
	case path == ".":
		return emptyDirectory{}, 0
	case path != "ctl":
		return nil, experimentalsys.ENOENT
	case d.file.opened:
		return nil, experimentalsys.EPERM
	}
	d.file.opened = true
	return d.file, 0
}

// emptyDirectory stands for /ctl itself: wazero wants to see a directory.
type emptyDirectory struct {
	experimentalsys.UnimplementedFile
}

func (emptyDirectory) IsDir() (bool, experimentalsys.Errno) { return true, 0 }

func (emptyDirectory) Stat() (sys.Stat_t, experimentalsys.Errno) {
	return sys.Stat_t{Mode: fs.ModeDir | 0o500, Nlink: 1}, 0
}
