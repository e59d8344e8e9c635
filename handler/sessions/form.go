package sessions

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
)

// form is a multipart body around a content that is read as it is sent.
type form struct {
	body
	ctx        context.Context // ends with the upload
	cancel     context.CancelFunc
	head, tail string
	content    io.Reader
	seeker     io.Seeker // nil if the content can be read only once
	start      int64     // where in the seeker the content begins
	length     int64     // -1 if it is not known

	mu     sync.Mutex             // held while content is read or moved
	try    atomic.Pointer[reader] // the only one that may read content
	begun  atomic.Bool            // something was read
	reason atomic.Pointer[error]  // of the content's failure
}

// newForm returns the body of an upload of content under that name.
func newForm(ctx context.Context, name string, content io.Reader, o UploadOptions) (*form, error) {
	f := &form{content: content, length: -1}
	if o.Size > 0 {
		f.length = o.Size
	}
	f.measure()
	if f.length > MaxUpload {
		return nil, tooLarge()
	}
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	_, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", name)},
		"Content-Type":        {cmp.Or(o.ContentType, "application/octet-stream")},
	})
	if err != nil {
		return nil, err
	}
	f.head = frame.String()
	if err := w.Close(); err != nil {
		return nil, err
	}
	f.tail = frame.String()[len(f.head):]
	f.ctx, f.cancel = context.WithCancel(ctx)
	f.body = body{contentType: w.FormDataContentType(), size: -1, open: f.open}
	if f.length >= 0 {
		f.body.size = int64(len(f.head)+len(f.tail)) + f.length
	}
	return f, nil
}

// measure finds out the content's length, if it can be sought in. A file need
// not be: it may be a pipe.
func (f *form) measure() {
	seeker, ok := f.content.(io.Seeker)
	if !ok {
		return
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return
	}
	f.seeker, f.start, f.length = seeker, start, max(end-start, 0)
}

// open returns the body for one more try. The content goes through a pipe:
// the transport waits for a read of the body that is going on even if the
// request was canceled, and content may keep it waiting for ever. Nothing is
// read before the transport asks, so that a refused connection costs nothing.
func (f *form) open() (io.ReadCloser, error) {
	r := &reader{form: f, left: f.length}
	if err := f.begin(r); err != nil {
		return nil, err
	}
	out, in := io.Pipe()
	pump := func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err)
	}
	begin := sync.OnceFunc(func() { go pump() })
	content := readFunc(func(p []byte) (int, error) {
		begin()
		return out.Read(p)
	})
	context.AfterFunc(f.ctx, func() { _ = out.CloseWithError(f.ctx.Err()) })
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(f.head), content, strings.NewReader(f.tail)), out}, nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// begin makes r the one that may read the content, from its begin, and bars
// the one before: the transport may still be at it.
func (f *form) begin(r *reader) error {
	if f.seeker == nil {
		if f.begun.Load() {
			return errors.New("the content can be read only once")
		}
		f.try.Store(r)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.try.Store(r)
	if _, err := f.seeker.Seek(f.start, io.SeekStart); err != nil {
		return f.fail(err)
	}
	return nil
}

func (f *form) repeatable() bool {
	return f.failure() == nil && (f.seeker != nil || !f.begun.Load())
}

// retire bars all tries from reading the content. Of a seeker it waits for the
// read that is going on; of other content that may take for ever.
func (f *form) retire() {
	f.cancel()
	if f.seeker != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	f.try.Store(nil)
}

// failure returns why the content could not be read, or nil.
func (f *form) failure() error {
	if reason := f.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

func (f *form) fail(err error) error {
	if _, ours := errors.AsType[*Error](err); !ours {
		err = fmt.Errorf("read the content: %w", err)
	}
	f.reason.Store(&err)
	return err
}

// reader is the content as one try reads it.
type reader struct {
	form *form
	left int64 // of a content of known length
	read int64
}

func (r *reader) Read(p []byte) (int, error) {
	f := r.form
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.try.Load() != r {
		return 0, errors.New("another try has begun")
	}
	if f.length >= 0 {
		p = p[:min(int64(len(p)), r.left)]
		if r.left == 0 {
			return 0, io.EOF // a file that has grown is sent as it was
		}
	}
	f.begun.Store(true)
	n, err := f.content.Read(p)
	r.read, r.left = r.read+int64(n), r.left-int64(n)
	switch {
	case r.read > MaxUpload:
		return 0, f.fail(tooLarge())
	case errors.Is(err, io.EOF) && r.left > 0:
		return n, f.fail(io.ErrUnexpectedEOF)
	case err != nil && !errors.Is(err, io.EOF):
		return n, f.fail(err)
	}
	return n, err
}

func tooLarge() error {
	return &Error{kind: ErrTooLarge, Message: "A file may have at most 128 MB."}
}
