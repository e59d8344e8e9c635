package localazure

import (
	"crypto/rand"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path"
)

// uploadOverhead is what a request may take beside the file in it, in bytes.
const uploadOverhead = 1 << 20

// errUploadTooLarge tells that a file is larger than is allowed.
var errUploadTooLarge = errors.New("the file is too large")

// uploadFiles serves POST /files and its older form: it stores each part of
// the form that is named "file", and makes the directory if need be. Of a
// name with directories only the base counts, as for any program that reads
// forms with Go, which the service's container is.
func (p *SessionPool) uploadFiles(c *poolCall, s *poolSession) *poolError {
	dir, problem := readDir(c.r.URL.Query().Get("path"))
	if problem != nil {
		return problem
	}
	limit := p.config.MaxUploadBytes
	if c.r.ContentLength > limit+uploadOverhead {
		return poolFault(http.StatusRequestEntityTooLarge)
	}
	form, err := c.r.MultipartReader()
	if err != nil {
		return poolInvalid("body", "The request's body is not a form with a file.")
	}
	var files []poolFile
	for {
		part, err := form.NextPart()
		switch {
		case err == io.EOF && len(files) == 0:
			return poolInvalid("file", "The form has no file.")
		case err == io.EOF && c.version.nested:
			return c.answer(http.StatusOK, fileList(files, c.version, &c.ids))
		case err == io.EOF:
			return c.answer(http.StatusOK, oneFile(c, files[0]))
		case err != nil:
			return poolInvalid("body", "The form breaks off.")
		case part.FormName() != "file":
			continue
		}
		file, problem := s.upload(dir, part, limit)
		if problem != nil {
			return problem
		}
		files = append(files, file)
	}
}

// upload stores a file of a form.
func (s *poolSession) upload(dir string, part *multipart.Part, limit int64) (poolFile, *poolError) {
	at := place{dir, part.FileName()}
	if !validName(at.name) {
		return poolFile{}, poolInvalid("file", "The file's name has a character that is not allowed.")
	}
	err := s.store(at, part, limit)
	if errors.Is(err, errUploadTooLarge) {
		return poolFile{}, poolFault(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return poolFile{}, uploadProblem(s, err)
	}
	info, err := s.root.Stat(at.inRoot())
	if err != nil {
		return poolFile{}, uploadProblem(s, err)
	}
	return poolFile{at, info}, nil
}

func uploadProblem(s *poolSession, err error) *poolError {
	if s.ended.Err() != nil {
		return poolGone()
	}
	return poolInvalid("file", "The file could not be stored: "+err.Error())
}

// store puts what r has at the place, whole or not at all: until it is whole,
// it is beside the session's files.
func (s *poolSession) store(at place, r io.Reader, limit int64) error {
	staged := "upload-" + rand.Text()
	file, err := s.root.OpenFile(staged, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer s.root.Remove(staged) // gone already if all went well
	n, err := io.Copy(file, io.LimitReader(r, limit+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if n > limit {
		return errUploadTooLarge
	}
	if err := s.root.MkdirAll(path.Dir(at.inRoot()), 0o700); err != nil {
		return err
	}
	return s.root.Rename(staged, at.inRoot())
}
