package localazure_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyless/handler/localazure"
)

// form returns the body of a form with one part, as [formType] announces it.
func form(disposition, content string) string {
	return "--frontier\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n--frontier--\r\n"
}

const formType = "multipart/form-data; boundary=frontier"

// upload sends body, which is a form, to an operation of the version.
func (p *poolRig) upload(t *testing.T, version, operation, body string) (*http.Response, string) {
	t.Helper()
	operation, query, _ := strings.Cut(operation, "?")
	r := httptest.NewRequestWithContext(t.Context(), "POST", poolPath+operation+"?api-version="+version+"&identifier=one-1&"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", formType)
	return p.send(t, r, sessionAudience)
}

// write makes files in the session as code does.
func (p *poolRig) write(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		p.call(t, newest, "POST", "/executions", fmt.Sprintf(`{"codeInputType":"Inline","executionType":"Synchronous","code":%q}`, "write "+name))
	}
}

func TestSessionPoolListsFiles(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	if _, answer := rig.call(t, newest, "GET", "/files", ""); answer != `{"$id":"1","value":[],"nextLink":null}`+"\n" {
		t.Errorf("a new session has %s", answer)
	}
	rig.write(t, "b.txt", "dir/sub/c.csv", "dir/a.json")
	for query, want := range map[string]string{
		"": `[{"$id":"2","name":"b.txt","directory":"","type":"file","contentType":"text/plain; charset=utf-8","sizeInBytes":5},
			{"$id":"3","name":"dir","directory":"","type":"directory","sizeInBytes":4096}]`,
		"path=":                        `[{"name":"b.txt"},{"name":"dir"}]`,
		"path=/mnt/data":               `[{"name":"b.txt"},{"name":"dir"}]`,
		"path=dir":                     `[{"name":"a.json","directory":"","contentType":"application/json"},{"name":"sub","directory":""}]`,
		"path=%2Fmnt%2Fdata%2Fdir%2F":  `[{"name":"a.json"},{"name":"sub"}]`,
		"path=/dir/sub":                `[{"name":"c.csv"}]`,
		"recursive=true":               `[{"name":"b.txt","directory":""},{"name":"dir","directory":""},{"name":"a.json","directory":"dir"},{"name":"sub","directory":"dir"},{"name":"c.csv","directory":"dir/sub"}]`,
		"path=dir&recursive=True":      `[{"name":"a.json","directory":""},{"name":"sub","directory":""},{"name":"c.csv","directory":"sub"}]`,
		"path=dir/sub&recursive=false": `[{"name":"c.csv","directory":""}]`,
	} {
		_, answer := rig.call(t, newest, "GET", "/files?"+query, "")
		mustHold(t, answer, `{"value":`+want+`,"nextLink":null}`)
	}
	_, answer := rig.call(t, "2025-02-02-preview", "GET", "/files?recursive=true", "")
	mustHold(t, answer, `{"value":[{"name":"b.txt","directory":null},{"name":"dir"}]}`)
	_, answer = rig.call(t, "2024-02-02-preview", "GET", "/files", "")
	mustHold(t, answer, `{"$id":"1","value":[{"$id":"2","properties":{"$id":"3","filename":"b.txt","size":5}}]}`)
}

func TestSessionPoolRefusesPaths(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	if err := os.WriteFile(filepath.Join(rig.dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.write(t, "dir/a")
	for operation, status := range map[string]int{
		"/files?path=..":               400,
		"/files?path=../..":            400,
		"/files?path=dir//x":           400,
		"/files?path=a.b":              400,
		"/files?path=/mnt/data/../..":  400,
		"/files?path=/mnt/database":    404,
		"/files?path=none":             404,
		"/files?path=dir/a":            404,
		"/files/..%2F..%2Fsecret":      400,
		"/files/a?path=..":             400,
		"/files/%2E%2E/content":        400,
		"/files/dir%2Fa/content":       400,
		"/files/dir/content":           404, // a directory
		"/files/a/content?path=../dir": 400,
		"/files/a%00/content":          400,
		"/files/a/content":             404,
	} {
		if response, answer := rig.call(t, newest, "GET", operation, ""); response.StatusCode != status || strings.Contains(answer, rig.dir) {
			t.Errorf("%s: %d %s, want %d", operation, response.StatusCode, answer, status)
		}
	}
}

// TestSessionPoolFilesStayInside has a link that leads out of the session,
// which code cannot make, but something else may have.
func TestSessionPoolFilesStayInside(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	secret := filepath.Join(rig.dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	rig.write(t, "dir/a")
	data, err := filepath.Glob(filepath.Join(rig.dir, "*-*", "data"))
	if err != nil || len(data) != 1 {
		t.Fatalf("directories %v, %v", data, err)
	}
	if err := os.Symlink(secret, filepath.Join(data[0], "link")); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink(rig.dir, filepath.Join(data[0], "up")); err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"/files/link", "/files/link/content", "/files/secret/content?path=up", "/files?path=up"} {
		if response, answer := rig.call(t, newest, "GET", operation, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %s", operation, response.StatusCode, answer)
		}
	}
	if response, answer := rig.upload(t, newest, "/files?path=up", form(`name="file"; filename="a"`, "x")); response.StatusCode != http.StatusBadRequest {
		t.Errorf("upload: %d %s", response.StatusCode, answer)
	}
	if _, answer := rig.call(t, newest, "GET", "/files?recursive=true", ""); strings.Contains(answer, "secret") {
		t.Errorf("list %s", answer)
	}
}

func TestSessionPoolDownloads(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	rig.write(t, "dir/odd+name.txt", "no-extension")
	for _, tt := range []struct{ version, operation, content, contentType string }{
		{newest, "/files/odd+name.txt/content?path=dir", "dir/odd+name.txt", "text/plain; charset=utf-8"},
		{"2024-02-02-preview", "/files/content/dir/odd%2Bname.txt", "dir/odd+name.txt", "text/plain; charset=utf-8"},
		{newest, "/files/no-extension/content", "no-extension", "application/octet-stream"},
	} {
		response, content := rig.call(t, tt.version, "GET", tt.operation, "")
		if content != tt.content || response.Header.Get("Content-Type") != tt.contentType || response.Header.Get("Accept-Ranges") != "bytes" || response.Header.Get("Last-Modified") == "" {
			t.Errorf("%s: %q, headers %v", tt.operation, content, response.Header)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", poolPath+"/files/no-extension/content?identifier=one-1&api-version="+newest, nil)
	r.Header.Set("Range", "bytes=3-5")
	if response, content := rig.send(t, r, sessionAudience); response.StatusCode != http.StatusPartialContent || content != "ext" {
		t.Errorf("part of a file: %d %q", response.StatusCode, content)
	}
}

func TestSessionPoolFileMetadataAndDelete(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	rig.write(t, "dir/a.txt", "b.txt")
	_, answer := rig.call(t, newest, "GET", "/files/a.txt?path=dir", "")
	mustHold(t, answer, `{"$id":"1","name":"a.txt","directory":"dir","type":"file","sizeInBytes":9}`)
	_, answer = rig.call(t, "2024-08-02-preview", "GET", "/files/b.txt", "")
	mustHold(t, answer, `{"value":[{"properties":{"filename":"b.txt","size":5}}]}`)
	for _, tt := range []struct {
		version, operation string
		status             int
		code, body         string
	}{
		{newest, "/files/a.txt?path=dir", 204, "", ""},
		{newest, "/files/a.txt?path=dir", 404, "DeleteFileError", ""},
		{"2024-02-02-preview", "/files/b.txt", 200, "", `{"message":"file deleted successfully"}` + "\n"},
		{"2024-02-02-preview", "/files/b.txt", 404, "DeleteFileError", ""},
	} {
		response, answer := rig.call(t, tt.version, "DELETE", tt.operation, "")
		if response.StatusCode != tt.status || response.Header.Get("x-ms-error-code") != tt.code || tt.code == "" && answer != tt.body {
			t.Errorf("%s: %d %s", tt.operation, response.StatusCode, answer)
		}
	}
}

// send sends r with a good token.
func (p *poolRig) send(t *testing.T, r *http.Request, audience string) (*http.Response, string) {
	t.Helper()
	token, err := p.issuer.Mint(audience, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}
