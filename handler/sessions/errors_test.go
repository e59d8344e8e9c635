package sessions_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"keyless/handler/sessions"
)

// TestHints looks for what each hint has to name.
func TestHints(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		code   string
		names  []string
	}{
		"empty 401":       {401, "", []string{"api-version", "audience", "Session Executor", "Contributor"}},
		"403":             {403, "", []string{"Session Executor", "minutes"}},
		"404":             {404, "", []string{"max-sessions", "endpoint"}},
		"413":             {413, "", []string{"128 MB"}},
		"429":             {429, "", []string{"Retry-After"}},
		"redirect":        {307, "", []string{"poolManagementEndpoint"}},
		"shape":           {400, "SessionPropertiesMissing", []string{"api-version", "Python"}},
		"validation":      {400, "SessionRequestValidationFailed", []string{"identifier", "Target"}},
		"not offered":     {400, "SessionRequestNotSupported", []string{"2025-10-02-preview"}},
		"gone":            {400, "SessionWithIdentifierNotFound", []string{"cooldown"}},
		"custom, of ours": {400, "DynamicApisNotAllowed", []string{"CustomContainer"}},
	} {
		client := servePool(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, `{"error":{"code":"`+tt.code+`"}}`)
		})
		_, err := client.Execute(t.Context(), identifier, sessions.ExecuteRequest{Code: "1"})
		e, ok := errors.AsType[*sessions.Error](err)
		if !ok {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		for _, word := range tt.names {
			if !strings.Contains(e.Hint, word) {
				t.Errorf("%s: %q does not name %s", name, e.Hint, word)
			}
		}
	}
}
