package python

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// dataFS is /mnt/data: one directory of the host, and nothing above it.
//
// wazero's own directory mounts can be left through a symbolic link. Here
// every path goes through [os.Root], which follows no link out; links cannot
// be made; what is neither a file nor a directory cannot be opened; and what
// the files take is bounded.
//
// It is used from the interpreter's goroutine alone, but for open.
type dataFS struct {
	experimentalsys.UnimplementedFS
	root      *os.Root // nil until a directory is opened
	quota     quota
	collector *collector
}

func newDataFS(maxBytes int64, maxFiles int, c *collector) *dataFS {
	d := &dataFS{collector: c}
	d.quota = quota{fs: d, maxBytes: maxBytes, maxFiles: maxFiles, open: map[*dataFile]bool{}}
	return d
}

// open makes dir the directory. Call it before the first cell runs.
func (d *dataFS) open(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	d.root = root
	return nil
}

// forget drops what is known of the space in use: between two cells the host
// may have changed files.
func (d *dataFS) forget() { d.quota.forget() }

// enter returns the name of path within the root. It is called at the start
// of each operation.
func (d *dataFS) enter(path string) (string, experimentalsys.Errno) {
	d.collector.hostCall()
	if d.root == nil {
		return "", experimentalsys.ENOENT
	}
	if path == "" {
		path = "."
	}
	return path, 0
}

func (d *dataFS) Stat(path string) (sys.Stat_t, experimentalsys.Errno) {
	name, errno := d.enter(path)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	return stat(d.root.Stat(name))
}

func (d *dataFS) Lstat(path string) (sys.Stat_t, experimentalsys.Errno) {
	name, errno := d.enter(path)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	return stat(d.root.Lstat(name))
}

func stat(info fs.FileInfo, err error) (sys.Stat_t, experimentalsys.Errno) {
	if err != nil {
		return sys.Stat_t{}, toErrno(err)
	}
	return sys.NewStat_t(info), 0
}

func (d *dataFS) Mkdir(path string, perm fs.FileMode) experimentalsys.Errno {
	name, errno := d.enter(path)
	if errno != 0 {
		return errno
	}
	if !d.quota.takeFile() {
		return errQuota
	}
	return toErrno(d.root.Mkdir(name, perm&fs.ModePerm))
}

func (d *dataFS) Rename(from, to string) experimentalsys.Errno {
	oldName, errno := d.enter(from)
	if errno != 0 {
		return errno
	}
	newName, _ := d.enter(to)
	return toErrno(d.root.Rename(oldName, newName))
}

func (d *dataFS) Rmdir(path string) experimentalsys.Errno {
	return d.remove(path, true)
}

func (d *dataFS) Unlink(path string) experimentalsys.Errno {
	return d.remove(path, false)
}

// remove deletes path if it is a directory, or is not, as wanted.
func (d *dataFS) remove(path string, dir bool) experimentalsys.Errno {
	name, errno := d.enter(path)
	if errno != 0 {
		return errno
	}
	info, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return toErrno(err)
	case dir && !info.IsDir():
		return experimentalsys.ENOTDIR
	case !dir && info.IsDir():
		return experimentalsys.EISDIR
	}
	return toErrno(d.root.Remove(name))
}

func (d *dataFS) Link(string, string) experimentalsys.Errno    { return experimentalsys.EPERM }
func (d *dataFS) Symlink(string, string) experimentalsys.Errno { return experimentalsys.EPERM }

func (d *dataFS) Utimens(path string, atim, mtim int64) experimentalsys.Errno {
	name, errno := d.enter(path)
	if errno != 0 {
		return errno
	}
	return d.setTimes(name, atim, mtim)
}

// toErrno maps an error of package os. [os.Root] has an error of its own for
// a path that leads out of the directory: that is not permitted.
func toErrno(err error) experimentalsys.Errno {
	errno := experimentalsys.UnwrapOSError(err)
	if _, ok := errors.AsType[syscall.Errno](err); errno == experimentalsys.EIO && !ok {
		return experimentalsys.EPERM
	}
	return errno
}
