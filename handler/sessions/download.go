package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// DownloadOptions asks for a part of a file.
type DownloadOptions struct {
	Offset int64 // where to begin, in bytes
	Length int64 // how many bytes; zero means all to the end
}

// Download is a file's content, to be read and closed.
type Download struct {
	io.ReadCloser
	// Size is how many bytes there are to read, -1 if the pool does not say.
	Size        int64
	ContentType string
}

// Download opens a file of the session for reading, or the part of it that
// options ask for. The path is below /mnt/data, with or without that in front;
// a directory in it needs 2024-10-02-preview or later.
//
// The content is streamed: ctx has to live until it is read, and reading
// returns an [*Error] of kind [ErrUnavailable] if it breaks off. The error is
// [ErrNotFound] if there is no such file, or one of those of [Client.Execute];
// the call is repeated whatever went wrong. It is up to the pool whether it
// sends a part alone; if it does not, what lies before is read and thrown away.
func (c *Client) Download(ctx context.Context, identifier, file string, options *DownloadOptions) (*Download, error) {
	op := onSession("download a file", http.MethodGet, identifier, "")
	op.streamed = true
	d, err := c.download(ctx, op, file, options)
	if err != nil {
		return nil, op.failed(err)
	}
	return d, nil
}

func (c *Client) download(ctx context.Context, op operation, file string, options *DownloadOptions) (*Download, error) {
	var o DownloadOptions
	if options != nil {
		o = *options
	}
	if o.Offset < 0 || o.Length < 0 {
		return nil, &Error{kind: ErrBadRequest, Message: "The part of a file must not begin or end before its begin."}
	}
	if _, err := c.onFile(&op, file, "content"); err != nil {
		return nil, err
	}
	if o != (DownloadOptions{}) {
		op.header = http.Header{"Range": {o.header()}}
	}
	resp, err := c.do(ctx, op)
	if err != nil {
		return nil, err
	}
	d := &Download{ReadCloser: content{ctx, resp.Body}, Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type")}
	if resp.StatusCode == http.StatusPartialContent {
		err = o.check(resp.Header.Get("Content-Range"))
	} else {
		err = o.cut(d)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return d, nil
}

// header returns the part as a Range header.
func (o DownloadOptions) header() string {
	if o.Length == 0 {
		return fmt.Sprintf("bytes=%d-", o.Offset)
	}
	return fmt.Sprintf("bytes=%d-%d", o.Offset, o.Offset+o.Length-1)
}

// check sees to it that a part is the one that was asked for.
func (o DownloadOptions) check(contentRange string) error {
	begin, _, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "-")
	if n, err := strconv.ParseInt(begin, 10, 64); err != nil || n != o.Offset {
		return &Error{kind: ErrProtocol, StatusCode: http.StatusPartialContent, Message: "The answer is another part of the file than was asked for."}
	}
	return nil
}

// cut takes the part out of the whole file.
func (o DownloadOptions) cut(d *Download) error {
	if o == (DownloadOptions{}) {
		return nil
	}
	if d.Size >= 0 && d.Size <= o.Offset {
		return beyondEnd()
	}
	if _, err := io.CopyN(io.Discard, d, o.Offset); errors.Is(err, io.EOF) {
		return beyondEnd()
	} else if err != nil {
		return err
	}
	if d.Size >= 0 {
		d.Size -= o.Offset
	}
	if o.Length > 0 {
		d.Size = min(d.Size, o.Length)
		d.ReadCloser = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(d.ReadCloser, o.Length), d.ReadCloser}
	}
	return nil
}

func beyondEnd() error {
	return &Error{kind: ErrBadRequest, StatusCode: http.StatusRequestedRangeNotSatisfiable, Message: "The file ends before the part begins."}
}

// content is an answer's body whose errors are of this package.
type content struct {
	ctx  context.Context
	body io.ReadCloser
}

func (c content) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = noAnswer(c.ctx, err)
	}
	return n, err
}

func (c content) Close() error { return c.body.Close() }
