package localazure

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// listFiles serves GET /files. A recursive list has the directories too. The
// older versions list the files beside each other and say nothing of
// directories, so those are left out.
func (p *SessionPool) listFiles(c *poolCall, s *poolSession) *poolError {
	query := c.r.URL.Query()
	dir, problem := readDir(query.Get("path"))
	if problem != nil {
		return problem
	}
	recursive, _ := strconv.ParseBool(query.Get("recursive")) // anything else counts as no
	files, err := s.list(dir, recursive && c.version.recurses)
	if err != nil {
		return fileProblem(s, err, "")
	}
	if c.version.nested {
		files = slices.DeleteFunc(files, func(f poolFile) bool { return f.info.IsDir() })
	}
	return c.answer(http.StatusOK, fileList(files, c.version, &c.ids))
}

// list returns what is in the directory, sorted by path, and with recursive
// what is below it. Their places are within the directory.
func (s *poolSession) list(dir string, recursive bool) ([]poolFile, error) {
	below, err := fs.Sub(s.root.FS(), place{dir: dir}.inRoot())
	if err != nil {
		return nil, err
	}
	var files []poolFile
	err = fs.WalkDir(below, ".", func(name string, entry fs.DirEntry, err error) error {
		if name == "." && err == nil && !entry.IsDir() {
			return fs.ErrNotExist
		}
		if name == "." || err != nil {
			return unlessGone(name, err)
		}
		info, err := entry.Info()
		if err != nil {
			return unlessGone(name, err)
		}
		if info.IsDir() || info.Mode().IsRegular() {
			parent, base := path.Split(name)
			files = append(files, poolFile{place{strings.TrimSuffix(parent, "/"), base}, info})
		}
		if info.IsDir() && !recursive {
			return fs.SkipDir
		}
		return nil
	})
	return files, err
}

// unlessGone returns err unless it is that something in a directory has gone
// since the directory was read.
func unlessGone(name string, err error) error {
	if name != "." && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// getFile serves GET /files/{name}. The older versions answer with a list.
func (p *SessionPool) getFile(c *poolCall, s *poolSession) *poolError {
	at, problem := readPlace(c)
	if problem != nil {
		return problem
	}
	info, err := s.root.Stat(at.inRoot())
	if err != nil {
		return fileProblem(s, err, "")
	}
	return c.answer(http.StatusOK, oneFile(c, poolFile{at, info}))
}

// oneFile returns the answer that is about one file.
func oneFile(c *poolCall, f poolFile) any {
	if c.version.nested {
		return fileList([]poolFile{f}, c.version, &c.ids)
	}
	return f.flat(c.version, &c.ids)
}

// downloadFile serves GET /files/{name}/content and its older form, in part if
// the request asks for a part: the service's container was seen to offer that
// in the older versions.
func (p *SessionPool) downloadFile(c *poolCall, s *poolSession) *poolError {
	at, problem := readPlace(c)
	if problem != nil {
		return problem
	}
	file, info, err := s.open(at)
	if err != nil {
		return fileProblem(s, err, "")
	}
	defer file.Close()
	c.w.Header().Set("Content-Type", poolFile{at, info}.contentType())
	http.ServeContent(c.w, c.r, at.name, info.ModTime(), file)
	return nil
}

// open opens a file for reading. A directory, or what else is not a file,
// counts as absent.
func (s *poolSession) open(at place) (*os.File, fs.FileInfo, error) {
	info, err := s.root.Stat(at.inRoot()) // first: to open a pipe would block
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := s.root.Open(at.inRoot())
	return file, info, err
}

// deleteFile serves DELETE /files/{name}.
func (p *SessionPool) deleteFile(c *poolCall, s *poolSession) *poolError {
	at, problem := readPlace(c)
	if problem != nil {
		return problem
	}
	if err := s.root.Remove(at.inRoot()); err != nil {
		return fileProblem(s, err, "DeleteFileError")
	}
	if c.version.nested {
		return c.answer(http.StatusOK, map[string]string{"message": "file deleted successfully"})
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// fileProblem says why a file could not be had. What lies outside the
// session's directory is not there.
func fileProblem(s *poolSession, err error, code string) *poolError {
	if s.ended.Err() != nil {
		return poolGone()
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the path, which is one of this machine
	}
	problem := poolFault(http.StatusNotFound)
	problem.message = "The file cannot be had: " + err.Error() + "."
	if code != "" {
		problem.code = code
	}
	return problem
}
