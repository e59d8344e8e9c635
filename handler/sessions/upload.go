package sessions

import (
	"bytes"
	"context"
	"io"
	"net/http"
)

// MaxUpload is how large a file may be, in bytes: the service answers 413 to a
// larger one (Microsoft's page "Serverless code interpreter sessions").
const MaxUpload = 128 << 20

// UploadOptions says more about an upload. The zero value is good.
type UploadOptions struct {
	// Size is the content's, in bytes, if the content cannot tell it; zero
	// means that it is not known.
	Size int64
	// ContentType is application/octet-stream if empty.
	ContentType string
}

// Upload writes content to a file of the session and returns what the service
// says of it. The file's path is below /mnt/data; which characters it may have
// is checked before anything is sent.
//
// The content is streamed, never held as a whole. If it is an [io.Seeker], it
// is sent from where it stands to its end, and sent again after whatever went
// wrong; other content is only as long as nothing was read from it.
//
// The error is [ErrTooLarge] if the content has more than [MaxUpload] bytes,
// at once where the size is known; one of content's own; or one of those of
// [Client.Execute]. Of content that is no Seeker, one Read may still be going
// on when Upload returns an error.
func (c *Client) Upload(ctx context.Context, identifier, file string, content io.Reader, options *UploadOptions) (*File, error) {
	op := onSession("upload a file", http.MethodPost, identifier, "files")
	f, err := c.upload(ctx, op, file, content, options)
	if err != nil {
		return nil, op.failed(err)
	}
	return f, nil
}

func (c *Client) upload(ctx context.Context, op operation, file string, content io.Reader, options *UploadOptions) (*File, error) {
	var o UploadOptions
	if options != nil {
		o = *options
	}
	dir, name, err := splitPath(file)
	if err == nil {
		err = checkUpload(dir, name)
	}
	if err == nil {
		err = c.inDirectory(&op, dir)
	}
	if err != nil {
		return nil, err
	}
	form, err := newForm(ctx, name, content, o)
	if err != nil {
		return nil, err
	}
	defer form.retire()
	if c.legacy() {
		op.path = "files/upload"
	}
	op.body = &form.body
	op.again = func(resp *http.Response, err error) bool { return transient(resp, err) && form.repeatable() }
	return c.sendForm(ctx, op, form, File{Name: name, Directory: dir, Size: form.length, ContentType: o.ContentType})
}

func (c *Client) sendForm(ctx context.Context, op operation, form *form, sent File) (*File, error) {
	_, data, err := c.send(ctx, op)
	if cause := form.failure(); err != nil && cause != nil && ctx.Err() == nil {
		return nil, cause
	}
	if err != nil {
		return nil, poolFull(err)
	}
	if len(bytes.TrimSpace(data)) == 0 { // a bare 201 or 204
		return &sent, nil
	}
	return decodeFile(data, sent.Directory)
}
