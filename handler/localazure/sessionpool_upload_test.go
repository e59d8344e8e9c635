package localazure_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/handler/localazure"
)

func TestSessionPoolUploads(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	response, answer := rig.upload(t, newest, "/files?path=new/deep", form(`name="file"; filename="ü (1).txt"`, "content"))
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, answer)
	}
	mustHold(t, answer, `{"$id":"1","name":"ü (1).txt","directory":"new/deep","type":"file","contentType":"text/plain; charset=utf-8","sizeInBytes":7}`)
	if _, content := rig.call(t, newest, "GET", "/files/%C3%BC%20(1).txt/content?path=new/deep", ""); content != "content" {
		t.Errorf("content %q", content)
	}
	_, answer = rig.upload(t, "2024-02-02-preview", "/files/upload", form(`name="file"; filename="/mnt/data/a.csv"`, "1,2"))
	mustHold(t, answer, `{"$id":"1","value":[{"$id":"2","properties":{"$id":"3","filename":"a.csv","size":3}}]}`)
	rig.upload(t, newest, "/files", form(`name="file"; filename="a.csv"`, "in its place"))
	if _, content := rig.call(t, newest, "GET", "/files/a.csv/content", ""); content != "in its place" {
		t.Errorf("content %q", content)
	}
}

// TestSessionPoolUploadsMany sends a form with other parts and two files.
func TestSessionPoolUploadsMany(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	part := func(disposition, content string) string {
		return strings.TrimSuffix(form(disposition, content), "--frontier--\r\n")
	}
	_, answer := rig.upload(t, "2024-08-02-preview", "/files/upload", part(`name="note"`, "x")+
		part(`name="file"; filename="a"`, "1")+form(`name="file"; filename="b"`, "22"))
	mustHold(t, answer, `{"value":[{"properties":{"filename":"a","size":1}},{"properties":{"filename":"b","size":2}}]}`)
}

func TestSessionPoolRefusesUploads(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{MaxUploadBytes: 10})
	for name, tt := range map[string]struct {
		path, body string
		status     int
	}{
		"largest":            {"", form(`name="file"; filename="a"`, "0123456789"), 200},
		"too large":          {"", form(`name="file"; filename="a"`, "0123456789x"), 413},
		"much too large":     {"", form(`name="file"; filename="a"`, strings.Repeat("x", 2<<20)), 413},
		"no file":            {"", form(`name="other"; filename="a"`, "x"), 400},
		"no name":            {"", form(`name="file"`, "x"), 400},
		"bad character":      {"", form(`name="file"; filename="a*b"`, "x"), 400},
		"a directory's name": {"", form(`name="file"; filename=".."`, "x"), 400},
		"too long a name":    {"", form(`name="file"; filename="`+strings.Repeat("x", 256)+`"`, "x"), 400},
		"not a form":         {"", "x", 400},
		"broken form":        {"", form(`name="file"; filename="a"`, "x")[:80], 400},
		"bad path":           {"?path=..", form(`name="file"; filename="a"`, "x"), 400},
		"path with a dot":    {"?path=a.b", form(`name="file"; filename="a"`, "x"), 400},
		"a file as path":     {"?path=taken", form(`name="file"; filename="a"`, "x"), 400},
		"a directory there":  {"", form(`name="file"; filename="full"`, "x"), 400},
	} {
		t.Run(name, func(t *testing.T) {
			rig.write(t, "taken", "full/x")
			response, answer := rig.upload(t, newest, "/files"+tt.path, tt.body)
			if response.StatusCode != tt.status || strings.Contains(answer, rig.dir) {
				t.Errorf("%d %s, want %d", response.StatusCode, answer, tt.status)
			}
			if left, _ := filepath.Glob(filepath.Join(rig.dir, "*-*", "upload-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	if _, content := rig.call(t, newest, "GET", "/files/a/content", ""); content != "0123456789" {
		t.Errorf("a refused upload changed the file to %q", content)
	}
}

// TestSessionPoolUploadCutOff breaks an upload off, over a real connection.
func TestSessionPoolUploadCutOff(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	server := httptest.NewServer(rig)
	defer server.Close()
	body, cut := io.Pipe()
	go func() {
		_, _ = io.WriteString(cut, form(`name="file"; filename="half"`, strings.Repeat("x", 1<<16))[:1<<15])
		_ = cut.CloseWithError(os.ErrDeadlineExceeded)
	}()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+poolPath+"/files?identifier=one-1&api-version="+newest, body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := rig.issuer.Mint(sessionAudience, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", formType)
	if response, err := http.DefaultClient.Do(r); err == nil {
		response.Body.Close()
		t.Errorf("status %d of an upload that was cut off", response.StatusCode)
	}
	server.Close() // waits for the handler
	if _, answer := rig.call(t, newest, "GET", "/files", ""); strings.Contains(answer, "half") {
		t.Errorf("half a file is there: %s", answer)
	}
}
