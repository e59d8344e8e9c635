package localazure_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyless/handler/localazure"
)

func TestSessionPoolMetadata(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{PythonVersion: "3.14"})
	_, answer := rig.request(t, "GET", poolPath+"/metadata?api-version="+newest, sessionAudience, "")
	mustHold(t, answer, `{"$id":"1","runtimes":[{"$id":"2","name":"Python","version":"3.14"}],"preInstalledPackages":[],"jupyterKernel":{"$id":"3","version":"3.14"}}`)
	var got map[string]any
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	kernel, _ := got["jupyterKernel"].(map[string]any)
	for _, required := range []any{got["createdAt"], got["lastUpdatedAt"], kernel["name"], kernel["projectUrl"], kernel["description"]} {
		if required == nil {
			t.Errorf("a required field is missing: %s", answer)
		}
	}
}

func TestSessionPoolListsNoSessions(t *testing.T) {
	rig := newPoolRig(t, localazure.SessionPoolConfig{})
	_, answer := rig.request(t, "GET", poolPath+"/listSessions?api-version="+newest, sessionAudience, "")
	if answer != `{"$id":"1","sessions":[],"nextLink":null}`+"\n" {
		t.Errorf("answer %s", answer)
	}
}

// TestSessionPoolListsSessions follows the links from page to page, and sees
// each session once.
func TestSessionPoolListsSessions(t *testing.T) {
	const sessions = 301
	rig := newPoolRig(t, localazure.SessionPoolConfig{MaxSessions: sessions})
	for i := range sessions {
		rig.request(t, "GET", fmt.Sprintf("%s/files?api-version=%s&identifier=session-%d", poolPath, newest, i), sessionAudience, "")
	}
	seen := map[string]bool{}
	next := "http://example.com" + poolPath + "/listSessions?api-version=" + newest
	for pages := 0; next != ""; pages++ {
		if pages == 2 {
			t.Fatalf("more than two pages: %s", next)
		}
		var page struct {
			Sessions []struct{ ID, Identifier, ETag, CreatedAt, LastAccessedAt, ExpireAt string }
			NextLink string
		}
		_, answer := rig.request(t, "GET", strings.TrimPrefix(next, "http://example.com"), sessionAudience, "")
		if err := json.Unmarshal([]byte(answer), &page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			if s.ETag == "" || s.CreatedAt == "" || s.LastAccessedAt == "" || s.ExpireAt == "" {
				t.Errorf("session %+v", s)
			}
			seen[s.Identifier] = true
		}
		next = page.NextLink
	}
	if len(seen) != sessions {
		t.Errorf("%d sessions listed, want %d", len(seen), sessions)
	}
	for _, skip := range []string{"-1", "x"} {
		response, answer := rig.call(t, newest, "GET", "/listSessions?skip="+skip, "")
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("skip %s: %d %s", skip, response.StatusCode, answer)
		}
	}
}

// TestSessionPoolFullStatus shows both answers to a session too many. Any
// operation in a session needs one; to ask for a session does not make one.
func TestSessionPoolFullStatus(t *testing.T) {
	for config, want := range map[int]int{0: 404, 404: 404, 429: 429} {
		rig := newPoolRig(t, localazure.SessionPoolConfig{MaxSessions: 1, FullStatus: config})
		if response, answer := rig.call(t, newest, "GET", "/session", ""); response.Header.Get("x-ms-error-code") != "SessionWithIdentifierNotFound" {
			t.Errorf("no session: %d %s", response.StatusCode, answer)
		}
		for identifier, status := range map[string]int{"one-1": 200, "two-2": want} {
			rig.call(t, newest, "GET", "/files", "")
			response, answer := rig.request(t, "GET", poolPath+"/files?api-version="+newest+"&identifier="+identifier, sessionAudience, "")
			if response.StatusCode != status {
				t.Errorf("%s: %d %s, want %d", identifier, response.StatusCode, answer, status)
			}
		}
	}
}
