package sessions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// File is a file or a directory of a session.
type File struct {
	Name        string
	Directory   string // below /mnt/data, empty for that itself
	IsDir       bool
	Size        int64 // in bytes; -1 if an upload's was neither known nor told
	ContentType string
	ModifiedAt  time.Time
}

// Path returns where the file is below /mnt/data, as the other calls take it.
func (f File) Path() string { return path.Join(f.Directory, f.Name) }

// ListFiles returns what is in a directory below /mnt/data, empty for that
// itself; if recursive, with all that lies deeper. Pages are fetched as they
// are asked for. An error ends the list. A session without files, or none yet,
// has an empty list, and the call starts a session.
//
// A directory needs 2024-10-02-preview or later, recursive 2025-10-02-preview.
func (c *Client) ListFiles(ctx context.Context, identifier, dir string, recursive bool) iter.Seq2[File, error] {
	op := onSession("list files", http.MethodGet, identifier, "files")
	rel, err := relative(dir)
	if err == nil {
		err = c.inDirectory(&op, rel)
	}
	if err == nil && recursive {
		err = c.need("list files recursively", version2510)
		op.query = merge(op.query, "recursive", "true")
	}
	if err != nil {
		return func(yield func(File, error) bool) { yield(File{}, op.failed(err)) }
	}
	return pages(ctx, c, op, func(data []byte) ([]File, string, error) { return decodeFiles(data, rel) })
}

// GetFile returns what the service knows about a file: see [Client.Download]
// for the path and the errors.
func (c *Client) GetFile(ctx context.Context, identifier, file string) (*File, error) {
	op := onSession("get a file", http.MethodGet, identifier, "")
	dir, err := c.onFile(&op, file, "")
	if err != nil {
		return nil, op.failed(err)
	}
	_, data, err := c.send(ctx, op)
	if err != nil {
		return nil, op.failed(err)
	}
	f, err := decodeFile(data, dir)
	if err != nil {
		return nil, op.failed(err)
	}
	return f, nil
}

// DeleteFile deletes a file: see [Client.Download] for the path. That there is
// no such file is not an error.
func (c *Client) DeleteFile(ctx context.Context, identifier, file string) error {
	op := onSession("delete a file", http.MethodDelete, identifier, "")
	if _, err := c.onFile(&op, file, ""); err != nil {
		return op.failed(err)
	}
	if _, _, err := c.send(ctx, op); err != nil && !errors.Is(err, ErrNotFound) {
		return op.failed(err)
	}
	return nil
}

// onFile makes op one on a file, or on what belongs to it, and returns the
// file's directory.
func (c *Client) onFile(op *operation, file, part string) (dir string, err error) {
	dir, name, err := splitPath(file)
	if err != nil {
		return "", err
	}
	name = url.PathEscape(name)
	switch {
	case part == "":
		op.path = "files/" + name
	case c.legacy():
		op.path = "files/" + part + "/" + name
	default:
		op.path = "files/" + name + "/" + part
	}
	return dir, c.inDirectory(op, dir)
}

// inDirectory makes op one in the directory dir, empty for the root.
func (c *Client) inDirectory(op *operation, dir string) error {
	if dir == "" {
		return nil
	}
	op.query = merge(op.query, "path", dir)
	return c.need("name a directory", version2410)
}

func merge(query url.Values, name, value string) url.Values {
	if query == nil {
		query = url.Values{}
	}
	query.Set(name, value)
	return query
}

// wireFile is a file's wire form. The first api-versions have other names, and
// some of them under "properties".
type wireFile struct {
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	ContentType string    `json:"contentType"`
	Size        int64     `json:"sizeInBytes"`
	ModifiedAt  time.Time `json:"lastModifiedAt"`
	Directory   string    `json:"directory"`
	Filename    string    `json:"filename"`
	Properties  struct {
		Filename   string    `json:"filename"`
		Size       int64     `json:"size"`
		ModifiedAt time.Time `json:"lastModifiedTime"`
	} `json:"properties"`
}

// file returns w as a File; dir is the directory that was asked for.
func (w wireFile) file(dir string) File {
	old := w.Properties
	f := File{Name: cmp.Or(w.Name, w.Filename, old.Filename), Directory: dir, IsDir: strings.EqualFold(w.Type, "directory"), Size: max(w.Size, old.Size, 0),
		ContentType: w.ContentType, ModifiedAt: w.ModifiedAt}
	if f.ModifiedAt.IsZero() {
		f.ModifiedAt = old.ModifiedAt
	}
	// It was seen empty, as "." and with the root in front.
	if directory := strings.Trim(strings.TrimPrefix(path.Clean("/"+w.Directory), root), "/"); directory != "" {
		f.Directory = directory
	}
	return f
}

// decodeFiles reads a page of files: an object with the list under "value", a
// bare list, or one file.
func decodeFiles(data []byte, dir string) (files []File, next string, err error) {
	var page struct {
		wireFile
		Value    []wireFile `json:"value"`
		NextLink string     `json:"nextLink"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		err = decode(data, &page.Value)
	} else {
		err = decode(data, &page)
	}
	if err != nil {
		return nil, "", err
	}
	if one := page.file(dir); one.Name != "" {
		files = append(files, one)
	}
	for _, w := range page.Value {
		files = append(files, w.file(dir))
	}
	return files, page.NextLink, nil
}

// decodeFile reads an answer that describes one file in any of those forms.
func decodeFile(data []byte, dir string) (*File, error) {
	files, _, err := decodeFiles(data, dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, &Error{kind: ErrProtocol, MayHaveRun: true, Message: "The answer describes no file."}
	}
	return &files[0], nil
}
