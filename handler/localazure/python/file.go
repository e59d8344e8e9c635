package python

import (
	"io"
	"io/fs"
	"os"
	"time"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"
)

// OpenFile opens a file or directory.
func (d *dataFS) OpenFile(path string, flag experimentalsys.Oflag, perm fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	if d.root == nil && path == "." {
		return emptyDirectory{}, 0 // asked for while the interpreter starts
	}
	name, errno := d.enter(path)
	if errno != 0 {
		return nil, errno
	}
	if len(d.quota.open) >= maxOpen {
		return nil, errQuota
	}
	if errno := d.admit(name, flag); errno != 0 {
		return nil, errno
	}
	handle, err := d.root.OpenFile(name, toOSFlag(flag), perm&fs.ModePerm)
	if err != nil {
		return nil, toErrno(err)
	}
	// wazero's adapter gives reading, seeking and listing; it does not write.
	adapted, errno := (&sysfs.AdaptFS{FS: &reopener{d.root, handle}}).OpenFile(name, 0, 0)
	if errno != 0 {
		_ = handle.Close()
		return nil, errno
	}
	file := &dataFile{File: adapted, fs: d, name: name, handle: handle, appends: flag&experimentalsys.O_APPEND != 0}
	d.quota.open[file] = true
	return file, 0
}

// admit reports whether name may be opened with flag.
func (d *dataFS) admit(name string, flag experimentalsys.Oflag) experimentalsys.Errno {
	info, err := d.root.Lstat(name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if flag&experimentalsys.O_NOFOLLOW != 0 {
			return experimentalsys.ELOOP
		}
		info, err = d.root.Stat(name)
	}
	switch {
	case err != nil && flag&experimentalsys.O_CREAT != 0:
		if !d.quota.takeFile() {
			return errQuota
		}
	case err != nil:
		return toErrno(err)
	case flag&experimentalsys.O_DIRECTORY != 0 && !info.IsDir():
		return experimentalsys.ENOTDIR
	case !info.IsDir() && !info.Mode().IsRegular():
		return experimentalsys.EPERM // a pipe or device that the host has put there
	}
	return 0
}

// toOSFlag translates open flags. Those left out are checked by admit or have
// no meaning here.
func toOSFlag(flag experimentalsys.Oflag) int {
	flags := [...]struct {
		from experimentalsys.Oflag
		to   int
	}{
		{experimentalsys.O_RDWR, os.O_RDWR}, {experimentalsys.O_WRONLY, os.O_WRONLY},
		{experimentalsys.O_APPEND, os.O_APPEND}, {experimentalsys.O_CREAT, os.O_CREATE},
		{experimentalsys.O_EXCL, os.O_EXCL}, {experimentalsys.O_TRUNC, os.O_TRUNC},
	}
	result := os.O_RDONLY
	for _, f := range flags {
		if flag&f.from != 0 {
			result |= f.to
		}
	}
	return result
}

// reopener hands wazero's adapter an open file, and opens a directory anew
// when the adapter wants to list it from the start.
type reopener struct {
	root  *os.Root
	first *os.File
}

func (r *reopener) Open(name string) (fs.File, error) {
	if first := r.first; first != nil {
		r.first = nil
		return first, nil
	}
	return r.root.Open(name)
}

// dataFile is an open file or directory of a dataFS.
type dataFile struct {
	experimentalsys.File // for all that does not write
	fs                   *dataFS
	name                 string
	handle               *os.File
	appends              bool
}

func (f *dataFile) IsAppend() bool { return f.appends }

// Write writes at the current position, or at the end.
func (f *dataFile) Write(buf []byte) (int, experimentalsys.Errno) {
	whence := io.SeekCurrent
	if f.appends {
		whence = io.SeekEnd
	}
	at, err := f.handle.Seek(0, whence)
	if err != nil {
		return 0, toErrno(err)
	}
	if errno := f.reserve(at + int64(len(buf))); errno != 0 {
		return 0, errno
	}
	n, err := f.handle.Write(buf)
	return n, toErrno(err)
}

func (f *dataFile) Pwrite(buf []byte, at int64) (int, experimentalsys.Errno) {
	if errno := f.reserve(at + int64(len(buf))); errno != 0 {
		return 0, errno
	}
	n, err := f.handle.WriteAt(buf, at)
	return n, toErrno(err)
}

func (f *dataFile) Truncate(size int64) experimentalsys.Errno {
	if errno := f.reserve(size); errno != 0 {
		return errno
	}
	return toErrno(f.handle.Truncate(size))
}

// reserve takes from the quota what the file needs to become size bytes long.
func (f *dataFile) reserve(size int64) experimentalsys.Errno {
	f.fs.collector.hostCall()
	info, err := f.handle.Stat()
	if err != nil {
		return toErrno(err)
	}
	if !f.fs.quota.takeBytes(size - info.Size()) {
		return errQuota
	}
	return 0
}

func (f *dataFile) Read(buf []byte) (int, experimentalsys.Errno) {
	f.fs.collector.hostCall()
	return f.File.Read(buf)
}

func (f *dataFile) Utimens(atim, mtim int64) experimentalsys.Errno {
	return f.fs.setTimes(f.name, atim, mtim)
}

func (f *dataFile) Close() experimentalsys.Errno {
	delete(f.fs.quota.open, f)
	return f.File.Close()
}

// setTimes sets a file's times, in nanoseconds since 1970. A value may be
// UTIME_OMIT: leave that time as it is.
func (d *dataFS) setTimes(name string, atim, mtim int64) experimentalsys.Errno {
	info, err := d.root.Stat(name)
	if err != nil {
		return toErrno(err)
	}
	was := sys.NewStat_t(info)
	if atim == experimentalsys.UTIME_OMIT {
		atim = was.Atim
	}
	if mtim == experimentalsys.UTIME_OMIT {
		mtim = was.Mtim
	}
	return toErrno(d.root.Chtimes(name, time.Unix(0, atim), time.Unix(0, mtim)))
}
