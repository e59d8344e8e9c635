package sessions_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"keyless/handler/sessions"
)

// received is what a pool got of an upload.
type received struct {
	name, contentType, content string
	length                     int64
}

// receive reads the form of an upload.
func receive(t *testing.T, r *http.Request) received {
	t.Helper()
	form, err := r.MultipartReader()
	if err != nil {
		t.Error(err)
		return received{}
	}
	part, err := form.NextPart()
	if err != nil {
		t.Error(err)
		return received{}
	}
	data, err := io.ReadAll(part)
	if err != nil || part.FormName() != "file" {
		t.Errorf("part %q: %v", part.FormName(), err)
	}
	return received{part.FileName(), part.Header.Get("Content-Type"), string(data), r.ContentLength}
}

// servePool is serve with requests whose body is left to answer.
func servePool(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *sessions.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	return newClient(t, server.URL+poolPath, quick())
}

const uploaded = `{"$id":"1","name":"Größe 1.csv","type":"file","contentType":"text/csv","sizeInBytes":7,"lastModifiedAt":"2026-01-02T03:04:05Z"}`

func TestUpload(t *testing.T) {
	onDisk, err := os.Open(writeFile(t, "content"))
	if err != nil {
		t.Fatal(err)
	}
	defer onDisk.Close()
	midway := strings.NewReader("no content")
	_, _ = midway.Seek(3, io.SeekStart)
	for name, tt := range map[string]struct {
		content io.Reader
		options *sessions.UploadOptions
		sized   bool
	}{
		"seeker":         {strings.NewReader("content"), nil, true},
		"seeker, midway": {midway, nil, true},
		"file":           {onDisk, nil, true},
		"reader":         {iotest.OneByteReader(strings.NewReader("content")), nil, false},
		"size given":     {iotest.DataErrReader(strings.NewReader("content")), &sessions.UploadOptions{Size: 7}, true},
		"more than size": {iotest.HalfReader(strings.NewReader("content and more")), &sessions.UploadOptions{Size: 7}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method+" "+r.URL.Path != "POST "+poolPath+"/files" || r.URL.Query().Get("path") != "in/2026" {
					t.Errorf("request %s %s", r.Method, r.URL)
				}
				got := receive(t, r)
				if got.name != "Größe 1.csv" || got.content != "content" || got.contentType != "application/octet-stream" || got.length > 0 != tt.sized {
					t.Errorf("got %+v", got)
				}
				_, _ = io.WriteString(w, uploaded)
			})
			f, err := client.Upload(t.Context(), identifier, "/mnt/data/in/2026/Größe 1.csv", tt.content, tt.options)
			if err != nil || f.Path() != "in/2026/Größe 1.csv" || f.Size != 7 || f.ContentType != "text/csv" {
				t.Errorf("Upload = %+v, %v", f, err)
			}
		})
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestUploadAnswers has the pool describe the file in all the ways that were
// seen, and in none.
func TestUploadAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
	}{
		"one": {200, uploaded}, "list": {201, "[" + uploaded + "]"}, "page": {202, `{"value":[` + uploaded + `]}`}, "nothing": {201, ""},
		"old": {200, `{"value":[{"properties":{"filename":"Größe 1.csv","size":7}}]}`},
	} {
		client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
			if got := receive(t, r); got.contentType != "text/csv" {
				t.Errorf("%s: got %+v", name, got)
			}
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		})
		f, err := client.Upload(t.Context(), identifier, "Größe 1.csv", strings.NewReader("content"), &sessions.UploadOptions{ContentType: "text/csv"})
		if err != nil || f.Name != "Größe 1.csv" || f.Size != 7 {
			t.Errorf("%s: Upload = %+v, %v", name, f, err)
		}
	}
}

// TestUploadIsRepeated has tries go wrong before, in and after the body.
func TestUploadIsRepeated(t *testing.T) {
	content := strings.Repeat("0123456789", 200_000)
	tries := 0
	client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
		switch tries++; tries {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable) // and the body is not taken
		case 2:
			_, _ = io.CopyN(io.Discard, r.Body, 1_000_000)
			panic(http.ErrAbortHandler)
		default:
			if got := receive(t, r); got.content != content {
				t.Errorf("got %d bytes that are not the content", len(got.content))
			}
			_, _ = io.WriteString(w, uploaded)
		}
	})
	if _, err := client.Upload(t.Context(), identifier, "a", strings.NewReader(content), nil); err != nil || tries != 3 {
		t.Errorf("error %v after %d tries, want none after 3", err, tries)
	}
}

func TestUploadOfReaderIsNotRepeated(t *testing.T) {
	tries := 0
	client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
		tries++
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := client.Upload(t.Context(), identifier, "a", iotest.HalfReader(strings.NewReader("content")), nil)
	if !errors.Is(err, sessions.ErrUnavailable) || tries != 1 {
		t.Errorf("error %v after %d tries, want ErrUnavailable after 1", err, tries)
	}
}

// TestUploadToRefusedConnection holds that the content of a reader is not
// touched before there is a connection, so that it can be tried again.
func TestUploadToRefusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var counter tryCounter
	o := quick()
	o.PerRetryPolicies = append(o.PerRetryPolicies, &counter)
	var content endless
	_, err := newClient(t, server.URL, o).Upload(t.Context(), identifier, "a", &content, nil)
	if !errors.Is(err, sessions.ErrUnavailable) || counter.tries != 4 || content.taken != 0 {
		t.Errorf("error %v after %d tries and %d bytes, want ErrUnavailable after 4 and 0", err, counter.tries, content.taken)
	}
}

// endless is content without an end; it counts what was taken.
type endless struct{ taken int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.taken += int64(len(p))
	return len(p), nil
}

// sized pretends to be as long as it says.
type sized struct {
	endless
	size int64
}

func (s *sized) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return s.size, nil
	}
	return offset, nil
}

func TestUploadTooLarge(t *testing.T) {
	requests := 0
	client := servePool(t, func(_ http.ResponseWriter, r *http.Request) {
		requests++
		_, _ = io.Copy(io.Discard, r.Body)
	})
	_, err := client.Upload(t.Context(), identifier, "a", &sized{size: sessions.MaxUpload + 1}, nil)
	if !errors.Is(err, sessions.ErrTooLarge) || requests != 0 {
		t.Errorf("known: error %v after %d requests, want ErrTooLarge after none", err, requests)
	}
	_, err = client.Upload(t.Context(), identifier, "a", &endless{}, &sessions.UploadOptions{Size: sessions.MaxUpload + 1})
	if !errors.Is(err, sessions.ErrTooLarge) || requests != 0 {
		t.Errorf("given: error %v after %d requests, want ErrTooLarge after none", err, requests)
	}
	var content endless
	_, err = client.Upload(t.Context(), identifier, "a", &content, nil)
	if !errors.Is(err, sessions.ErrTooLarge) || requests != 1 || content.taken > sessions.MaxUpload+1<<20 {
		t.Errorf("unknown: error %v after %d requests and %d bytes, want ErrTooLarge", err, requests, content.taken)
	}
	refusing := servePool(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	if _, err := refusing.Upload(t.Context(), identifier, "a", strings.NewReader("x"), nil); !errors.Is(err, sessions.ErrTooLarge) {
		t.Errorf("413: error %v, want ErrTooLarge", err)
	}
}

// TestUploadStreams sends 64 MB and looks at what is allocated meanwhile.
func TestUploadStreams(t *testing.T) {
	const size = 64 << 20
	client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n < size {
			t.Errorf("got %d bytes: %v", n, err)
		}
		_, _ = io.WriteString(w, uploaded)
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := client.Upload(t.Context(), identifier, "a", &sized{size: size}, nil); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("%d bytes were allocated", allocated)
	}
}

func TestUploadOfBrokenContent(t *testing.T) {
	client := servePool(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	broken := errors.New("disk on fire")
	_, err := client.Upload(t.Context(), identifier, "a", io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)), nil)
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the content's own", err)
	}
	_, err = client.Upload(t.Context(), identifier, "a", io.MultiReader(strings.NewReader("x")), &sessions.UploadOptions{Size: 9})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want ErrUnexpectedEOF", err)
	}
}

// TestUploadCanceled cancels while the content keeps the upload waiting.
func TestUploadCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{})
	client := servePool(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	content, writer := io.Pipe()
	defer writer.Close()
	go func() {
		_, _ = writer.Write(make([]byte, 64<<10)) // enough for the client to begin
		<-arrived
		cancel()
	}()
	if _, err := client.Upload(ctx, identifier, "a", content, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want Canceled", err)
	}
}

func TestDownload(t *testing.T) {
	const text = "0123456789"
	serveRange := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		http.ServeContent(w, r, "", sessions.File{}.ModifiedAt, strings.NewReader(text))
	}
	serveWhole := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/csv")
		_, _ = io.WriteString(w, text)
	}
	for kind, answer := range map[string]http.HandlerFunc{"range": serveRange, "whole": serveWhole} {
		for want, o := range map[string]*sessions.DownloadOptions{text: nil, "3456789": {Offset: 3}, "345": {Offset: 3, Length: 3}, "01": {Length: 2}, "9": {Offset: 9, Length: 5}} {
			client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method+" "+r.URL.EscapedPath() != "GET "+poolPath+"/files/a%20b.csv/content" || r.URL.Query().Get("path") != "out" {
					t.Errorf("request %s %s", r.Method, r.URL)
				}
				answer(w, r)
			})
			d, err := client.Download(t.Context(), identifier, "out/a b.csv", o)
			if err != nil {
				t.Errorf("%s %+v: %v", kind, o, err)
				continue
			}
			got, err := io.ReadAll(d)
			if err != nil || string(got) != want || d.Size < int64(len(want)) || d.ContentType != "text/csv" {
				t.Errorf("%s %+v: %q of %d bytes, %s, %v", kind, o, got, d.Size, d.ContentType, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		client := servePool(t, answer)
		for _, o := range []sessions.DownloadOptions{{Offset: 10}, {Offset: -1}, {Length: -1}} {
			if _, err := client.Download(t.Context(), identifier, "a", &o); !errors.Is(err, sessions.ErrBadRequest) {
				t.Errorf("%s %+v: error %v, want ErrBadRequest", kind, o, err)
			}
		}
	}
}

func TestDownloadFails(t *testing.T) {
	client := servePool(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case poolPath + "/files/missing/content":
			w.WriteHeader(http.StatusNotFound)
		case poolPath + "/files/other/content":
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
		default:
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "begin")
		}
	})
	if _, err := client.Download(t.Context(), identifier, "missing", nil); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	if _, err := client.Download(t.Context(), identifier, "other", &sessions.DownloadOptions{Offset: 3}); !errors.Is(err, sessions.ErrProtocol) {
		t.Errorf("error %v, want ErrProtocol", err)
	}
	d, err := client.Download(t.Context(), identifier, "cut", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := io.ReadAll(d); !bytes.Equal(got, []byte("begin")) || !errors.Is(err, sessions.ErrUnavailable) {
		t.Errorf("read %q, %v; want ErrUnavailable", got, err)
	}
}
