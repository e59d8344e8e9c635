package sessions

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// maxAnswerBytes bounds an answer that is read into memory: both streams, and
// one image in base64.
const maxAnswerBytes = 64 << 20

// body is what a request carries.
type body struct {
	contentType string
	size        int64 // in bytes; -1 if it is not known
	open        func() (io.ReadCloser, error)
}

// jsonBody returns v as a body.
func jsonBody(v any) (*body, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	return &body{contentType: "application/json", size: int64(len(data)), open: open}, nil
}

// freshBody is a pipeline policy that gives each try a body of its own. azcore
// has one reader for all of them, and rewinds it while the transport may still
// be sending the try before: an answer can come before the body was taken.
type freshBody struct{}

func (freshBody) Do(req *policy.Request) (*http.Response, error) {
	var b body
	if !req.OperationValue(&b) {
		return req.Next()
	}
	reader, err := b.open()
	if err != nil {
		return nil, err
	}
	raw := req.Raw()
	raw.Body, raw.GetBody, raw.ContentLength = reader, b.open, b.size
	if b.contentType != "" {
		raw.Header.Set("Content-Type", b.contentType)
	}
	return req.Next()
}

// streamed marks a request whose answer the caller reads.
type streamed bool

// wholeAnswer is a pipeline policy that reads a good answer up to a bound, so
// that one that breaks off is a try that went wrong.
type wholeAnswer struct{}

func (wholeAnswer) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	var byCaller streamed
	if err != nil || resp.StatusCode >= 300 || req.OperationValue(&byCaller) && bool(byCaller) {
		return resp, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes+1))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, nil
}
