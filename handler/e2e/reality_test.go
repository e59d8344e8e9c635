package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/handler/localazure"
)

// With a real model, the local run hands the token of whoever did `az login`
// to that model, and to nobody else.
func TestLocalRunWithARealModel(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	developers, err := az.tokens.Issuer.Mint("https://cognitiveservices.azure.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	h := launch(t, localBinary, map[string]string{
		"XDG_CACHE_HOME":          userCache(t),
		"PATH":                    azureCLI(t, developers),
		"AZURE_OPENAI_ENDPOINT":   az.env["AZURE_OPENAI_ENDPOINT"],
		"AZURE_OPENAI_DEPLOYMENT": "model",
	})
	h.waitReady(t)
	if got := h.chat(t, "run 6 * 7", ""); got.status != 200 || !strings.Contains(got.text("reply"), "42") {
		t.Fatalf("answer %d %s", got.status, got.body)
	}
	want := []string{"POST /openai/v1/responses https://cognitiveservices.azure.com"}
	if calls := slices.Compact(az.take()); !slices.Equal(calls, want) {
		t.Errorf("the real service was called with %q", calls)
	}
	if out := h.stdout.String(); !strings.Contains(out, "model         real: http://127.0.0.1") || !strings.Contains(out, "session pool  stood in") {
		t.Errorf("stdout: %s", out)
	}
}

func TestLocalRunWithARealModelAndNobodySignedIn(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	h := launch(t, localBinary, map[string]string{
		"XDG_CACHE_HOME":          userCache(t),
		"PATH":                    t.TempDir(),
		"AZURE_OPENAI_ENDPOINT":   az.env["AZURE_OPENAI_ENDPOINT"],
		"AZURE_OPENAI_DEPLOYMENT": "model",
	})
	h.waitReady(t)
	if got := h.chat(t, "hello", ""); got.status != 502 || !strings.Contains(got.text("detail"), "az login") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

// azureCLI returns a PATH with an `az` that is signed in and hands out token.
func azureCLI(t *testing.T, token string) string {
	t.Helper()
	dir := t.TempDir()
	expires := time.Now().Add(time.Hour)
	script := fmt.Sprintf("#!/bin/sh\necho '{\"accessToken\": \"%s\", \"expiresOn\": \"%s\", \"expires_on\": %d, \"tenant\": \"t\", \"tokenType\": \"Bearer\"}'\n",
		token, expires.Format("2006-01-02 15:04:05.000000"), expires.Unix())
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir + ":/usr/bin:/bin"
}

// userCache returns the machine's own cache, where compiled Python is.
func userCache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
