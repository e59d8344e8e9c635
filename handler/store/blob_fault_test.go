package store_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/fault"
	"keyless/handler/localazure"
	"keyless/handler/store"
)

// What Azurite itself says when it will not have us.
func TestBlobRefusals(t *testing.T) {
	t.Parallel()
	config := newContainer(t)

	missing := config
	missing.Container = "nowhere"
	s := openBlob(t, missing)
	_, got := s.Get(t.Context(), key)
	for _, err := range []error{
		got,
		s.Create(t.Context(), key, nil),
		s.Update(t.Context(), key, neverUpdate(t)),
		s.Remove(t.Context(), key, neverRemove(t)),
	} {
		wantCode(t, err, fault.Misconfigured, "storage_container_not_found")
		if message := fault.From(err).Message; !strings.Contains(message, "/nowhere ") {
			t.Errorf("%q does not name the container", message)
		}
		if fault.From(err).UpstreamID == "" {
			t.Error("no upstream id")
		}
	}

	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	config.Credential = credential{issuer, "https://dynamicsessions.io"}
	_, err = openBlob(t, config).Get(t.Context(), key)
	wantCode(t, err, fault.Denied, "storage_token_refused")
}

// What Azurite cannot be made to say.
func TestBlobFaults(t *testing.T) {
	t.Parallel()
	for _, answer := range []struct {
		status int
		code   string // in x-ms-error-code
		kind   fault.Kind
		want   string
	}{
		{403, "AuthorizationPermissionMismatch", fault.Denied, "storage_role_missing"},
		{403, "AuthorizationFailure", fault.Denied, "storage_network_denied"},
		{403, "AuthenticationFailed", fault.Denied, "storage_token_refused"},
		{401, "InvalidAuthenticationInfo", fault.Denied, "storage_token_refused"},
		{403, "AccountIsDisabled", fault.Misconfigured, "storage_account_disabled"},
		{409, "ContainerBeingDeleted", fault.Misconfigured, "storage_container_not_found"},
		{503, "ServerBusy", fault.Throttled, "storage_throttled"},
		{429, "", fault.Throttled, "storage_throttled"},
		{500, "InternalError", fault.Unavailable, "storage_unavailable"},
		{503, "", fault.Unavailable, "storage_unavailable"},
		{400, "InvalidHeaderValue", fault.Internal, "internal_error"},
	} {
		t.Run(answer.want, func(t *testing.T) {
			t.Parallel()
			s := openFake(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-ms-error-code", answer.code)
				w.Header().Set("x-ms-request-id", "request-1")
				w.Header().Set("Retry-After", "7") // longer than a retry waits
				w.WriteHeader(answer.status)
			})
			_, err := s.Get(t.Context(), key)
			wantCode(t, err, answer.kind, answer.want)
			f := fault.From(err)
			if f.Kind != fault.Internal && (f.UpstreamID != "request-1" || f.RetryAfter != 7*time.Second) {
				t.Errorf("upstream id %q, retry after %v", f.UpstreamID, f.RetryAfter)
			}
			if answer.want == "storage_role_missing" && !strings.Contains(f.Message, "Storage Blob Data Contributor") {
				t.Errorf("%q does not name the role", f.Message)
			}
		})
	}
}

func TestBlobUnreachable(t *testing.T) {
	t.Parallel()
	s := openFake(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := s.Get(t.Context(), key)
	wantCode(t, err, fault.Unavailable, "storage_unreachable")
}

// A body that never comes whole is no record.
func TestBlobShortBody(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	s := openFake(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "{")
	})
	_, err := s.Get(t.Context(), key)
	wantCode(t, err, fault.Unavailable, "storage_unreachable")
}

func TestBlobDeadline(t *testing.T) {
	t.Parallel()
	s := openFake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Get(ctx, key)
	wantCode(t, err, fault.Deadline, "deadline_exceeded")
}

// What the credential says of itself is passed on.
func TestBlobNoToken(t *testing.T) {
	t.Parallel()
	want := fault.New(fault.Denied, "identity_missing", "There is no identity.")
	s, err := store.NewBlob(store.BlobConfig{Endpoint: "https://127.0.0.1:1", Credential: noToken{want}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), key)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

type noToken struct{ err error }

func (n noToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, n.err
}

// A release that fails is no failure of the work, but an operator can see why
// the record stays busy.
func TestBlobReleaseFails(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	config := fakeConfig(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("x-ms-lease-action") {
		case "release":
			w.Header().Set("x-ms-error-code", "AuthorizationFailure")
			w.WriteHeader(http.StatusForbidden)
		case "acquire":
			w.WriteHeader(http.StatusCreated)
		}
	})
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	err := openBlob(t, config).Update(t.Context(), key, func(context.Context, []byte) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "stays locked") {
		t.Errorf("the log is %q", &log)
	}
}

// openFake returns a store whose service answers by h.
func openFake(t *testing.T, h http.HandlerFunc) *store.Blob {
	t.Helper()
	return openBlob(t, fakeConfig(t, h))
}

func fakeConfig(t *testing.T, h http.HandlerFunc) store.BlobConfig {
	t.Helper()
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	issuer, err := localazure.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	return store.BlobConfig{
		Endpoint: server.URL, Credential: credential{issuer, storageAudience},
		Client: azcore.ClientOptions{Transport: server.Client()},
	}
}
