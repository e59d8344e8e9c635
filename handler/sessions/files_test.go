package sessions_test

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/handler/sessions"
)

// listError returns the error of a list.
func listError[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

func paths(t *testing.T, list iter.Seq2[sessions.File, error]) []string {
	t.Helper()
	var all []string
	for f, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Path())
	}
	return all
}

// The recorded shapes of a list: the newest, with directories and nine digits
// of a second; the container's own; and the oldest in both forms.
const (
	newList = `{"$id":"1","value":[{"$id":"2","name":"a b.txt","type":"file","contentType":"text/plain; charset=utf-8","sizeInBytes":516,"lastModifiedAt":"2024-08-06T16:21:22.123456789Z","directory":""},` +
		`{"name":"sub","type":"Directory","lastModifiedAt":"2024-08-06T16:21:22Z","directory":"."},{"name":"c","type":"File","directory":"/mnt/data/sub"}],"nextLink":null}`
	bareList = `[{"name":"a b.txt","type":"file","sizeInBytes":516,"lastModifiedAt":"2024-08-06T16:21:22.123456789Z"}]`
	oldList  = `{"$id":"1","value":[{"$id":"2","properties":{"$id":"3","filename":"a b.txt","size":516,"lastModifiedTime":"2024-08-06T16:21:22.123456789Z"}}]}`
	specList = `{"value":[{"filename":"a b.txt","properties":{"size":516,"lastModifiedTime":"2024-08-06T16:21:22.123456789Z"}}]}`
)

func TestListFiles(t *testing.T) {
	for name, body := range map[string]string{"new": newList, "bare": bareList, "old": oldList, "spec": specList, "one": bareList[1 : len(bareList)-1]} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if got := r.Method + " " + r.URL.String(); got != "GET "+poolPath+"/files?api-version=2025-10-02-preview&identifier="+identifier {
				t.Errorf("%s: request %s", name, got)
			}
			_, _ = io.WriteString(w, body)
		})
		for f, err := range client.ListFiles(t.Context(), identifier, "/mnt/data", false) {
			if err != nil || f.Path() != "a b.txt" || f.Size != 516 || f.IsDir || f.ModifiedAt.Nanosecond() != 123456789 {
				t.Errorf("%s: file %+v, %v", name, f, err)
			}
			break
		}
	}
}

func TestListFilesRecursively(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("recursive") != "true" || q.Get("path") != "dir/x" {
			t.Errorf("query %v", q)
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(newList, `"directory":"."`, `"directory":"dir/x"`))
	})
	var dirs int
	for f := range client.ListFiles(t.Context(), identifier, "/mnt/data/dir/x/", true) {
		if f.IsDir {
			dirs++
		}
	}
	if got := paths(t, client.ListFiles(t.Context(), identifier, "dir/x", true)); dirs != 1 || !slices.Equal(got, []string{"dir/x/a b.txt", "dir/x/sub", "sub/c"}) {
		t.Errorf("%d directories, paths %q", dirs, got)
	}
}

// TestPages gives links as they were seen: absolute, and without the pool's
// path. The second page fails once.
func TestPages(t *testing.T) {
	var failed atomic.Bool
	client, count := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != poolPath+"/files" || r.URL.Query().Get("identifier") != identifier || r.URL.Query().Get("api-version") == "" {
			t.Errorf("request %s", r.URL)
		}
		switch r.URL.Query().Get("skip") {
		case "":
			_, _ = io.WriteString(w, `{"value":[{"name":"a"},{"name":"b"}],"nextLink":"http://`+r.Host+poolPath+`/files?skip=2&identifier=other"}`)
		case "2":
			if !failed.Swap(true) {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, `{"value":[{"name":"c"}],"nextLink":"/files?skip=3"}`)
		default:
			_, _ = io.WriteString(w, `{"value":[],"nextLink":""}`)
		}
	})
	if got := paths(t, client.ListFiles(t.Context(), identifier, "", false)); !slices.Equal(got, []string{"a", "b", "c"}) || count.Load() != 4 {
		t.Errorf("files %q after %d requests", got, count.Load())
	}
	for range client.ListFiles(t.Context(), identifier, "", false) {
		break
	}
	if count.Load() != 5 {
		t.Error("a page was fetched that nobody asked for")
	}
}

func TestPagesStayAtThePool(t *testing.T) {
	for link, want := range map[string]error{
		"https://evil.example/files?skip=2": sessions.ErrRedirected,
		"//evil.example/files?skip=2":       sessions.ErrRedirected,
		"http://127.0.0.1:1/files?skip=2":   sessions.ErrRedirected,
		"ftp:/files?skip=2":                 sessions.ErrRedirected,
		":":                                 sessions.ErrProtocol,
		"/files?skip=2":                     sessions.ErrProtocol, // and so on without end
	} {
		client, count := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"value":[{"name":"a"}],"nextLink":"`+link+`"}`)
		})
		if err := listError(client.ListFiles(t.Context(), identifier, "", false)); !errors.Is(err, want) || count.Load() > 2 {
			t.Errorf("%s: error %v after %d requests, want %v", link, err, count.Load(), want)
		}
	}
}

func TestGetFile(t *testing.T) {
	client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != poolPath+"/files/Q3%20report%3F%252e.xlsx" || r.URL.Query().Get("path") != "2026/q3" {
			t.Errorf("request %s", r.URL)
		}
		_, _ = io.WriteString(w, `{"name":"Q3 report?%2e.xlsx","type":"file","sizeInBytes":7,"lastModifiedAt":"2026-01-02T03:04:05Z"}`)
	})
	f, err := client.GetFile(t.Context(), identifier, "/mnt/data/2026/q3/Q3 report?%2e.xlsx")
	if err != nil || f.Path() != "2026/q3/Q3 report?%2e.xlsx" || f.Size != 7 || !f.ModifiedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("GetFile = %+v, %v", f, err)
	}
}

func TestGetFileFails(t *testing.T) {
	for body, want := range map[string]error{"": sessions.ErrNotFound, "[]": sessions.ErrProtocol, "{}": sessions.ErrProtocol, "x": sessions.ErrProtocol} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			if body == "" {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = io.WriteString(w, body)
		})
		if _, err := client.GetFile(t.Context(), identifier, "a"); !errors.Is(err, want) || errors.Is(err, sessions.ErrPoolFull) {
			t.Errorf("%q: error %v, want %v", body, err, want)
		}
	}
}

func TestDeleteFile(t *testing.T) {
	for status, want := range map[int]error{200: nil, 204: nil, 404: nil, 403: sessions.ErrForbidden} {
		client, _ := serve(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.Method+" "+r.URL.Path != "DELETE "+poolPath+"/files/a.txt" {
				t.Errorf("request %s %s", r.Method, r.URL)
			}
			w.WriteHeader(status)
			if status == 404 {
				_, _ = io.WriteString(w, `{"error":{"code":"DeleteFileError"}}`)
			}
		})
		if err := client.DeleteFile(t.Context(), identifier, "a.txt"); !errors.Is(err, want) {
			t.Errorf("%d: error %v, want %v", status, err, want)
		}
	}
}

func TestOldFilePaths(t *testing.T) {
	var asked []string
	client := serveVersion(t, "2024-02-02-preview", func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+strings.TrimPrefix(r.URL.EscapedPath(), poolPath))
		_, _ = io.WriteString(w, oldList)
	})
	_, errUpload := client.Upload(t.Context(), identifier, "a b.txt", strings.NewReader("x"), nil)
	_, errGet := client.GetFile(t.Context(), identifier, "a b.txt")
	d, errDownload := client.Download(t.Context(), identifier, "a b.txt", nil)
	errDelete := client.DeleteFile(t.Context(), identifier, "a b.txt")
	if err := errors.Join(errUpload, errGet, errDownload, errDelete); err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	if want := []string{"POST /files/upload", "GET /files/a%20b.txt", "GET /files/content/a%20b.txt", "DELETE /files/a%20b.txt"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestBadPaths(t *testing.T) {
	client, count := serve(t, func(int, http.ResponseWriter, *http.Request) {})
	for _, p := range []string{"", "/", ".", "..", "/mnt/data", "/mnt/data/", "../a", "a/../b", "a//b", "a/", "/etc/passwd", "/mnt/database/a", "a\x00b", "a\xff", "./a"} {
		if _, err := client.Download(t.Context(), identifier, p, nil); !errors.Is(err, sessions.ErrBadRequest) {
			t.Errorf("Download(%q) = %v, want ErrBadRequest", p, err)
		}
	}
	for _, p := range []string{"a?.txt", "a+b", "a:b", "a\\b", "a*b", "a\"b", "a\nb", "v1.2/a.txt", "d+r/a", "١.txt"} {
		if _, err := client.Upload(t.Context(), identifier, p, strings.NewReader("x"), nil); !errors.Is(err, sessions.ErrBadRequest) {
			t.Errorf("Upload(%q) = %v, want ErrBadRequest", p, err)
		}
	}
	if count.Load() != 0 {
		t.Errorf("%d requests were made", count.Load())
	}
}
