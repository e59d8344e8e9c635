package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"keyless/handler/fault"
)

// azidentity's words, without a sign-in and beside a foreign metadata service.
const (
	notSignedIn = `DefaultAzureCredential: failed to acquire a token.
Attempted credentials:
	EnvironmentCredential: missing environment variable AZURE_TENANT_ID
	WorkloadIdentityCredential: no client ID specified
	ManagedIdentityCredential: managed identity timed out. See https://aka.ms/x
	AzureCLICredential: Azure CLI not found on path eyJhbGci.x.y
	AzureDeveloperCLICredential: not found
	AzurePowerShellCredential: not found`
	foreignMetadata = `DefaultAzureCredential: failed to acquire a token.
Attempted credentials:
	EnvironmentCredential: missing environment variable AZURE_TENANT_ID
	WorkloadIdentityCredential: no client ID specified
	ManagedIdentityCredential authentication failed. 
		GET http://169.254.169.254/metadata/identity/oauth2/token
		--------------------------------------------------------------------------------
		RESPONSE 403: 403 Forbidden`
)

func TestWhyEachCredentialWasPassedOver(t *testing.T) {
	for code, test := range map[string]struct {
		text     string
		problem  Problem
		commands []string
		notes    []string
	}{
		"identity_missing": {notSignedIn, NotSignedIn, []string{"az login"}, []string{
			"missing environment variable AZURE_TENANT_ID", "no client ID specified", "managed identity timed out. See https://aka.ms/x",
			"Azure CLI not found on path …", "not found", "not found"}},
		"identity_denied": {foreignMetadata, NoToken, []string{"az login", "export AZURE_TOKEN_CREDENTIALS=dev"}, []string{
			"missing environment variable AZURE_TENANT_ID", "no client ID specified", "answered: 403 Forbidden",
			"not asked: one before it failed for good", "not asked: one before it failed for good", "not asked: one before it failed for good"}},
	} {
		t.Run(code, func(t *testing.T) {
			e := Examination{Credential: giver{err: fault.New(fault.Denied, code, "No token.").Because(errors.New(test.text))},
				Checks: []Check{{Target: model, Scope: "https://x/.default", Call: func(context.Context) error { return nil }}}, Place: place(nil)}
			r := Run(t.Context(), e)
			if f := r.Services[0].Finding; f.Problem != test.problem || !slices.Equal(f.Commands, test.commands) {
				t.Errorf("found %+v", f)
			}
			for i, c := range r.Credentials {
				if c.Note != test.notes[i] || c.Used {
					t.Errorf("%s: %q, want %q", c.Name, c.Note, test.notes[i])
				}
			}
		})
	}
}

func TestWhichCredentialGaveTheToken(t *testing.T) {
	for name, test := range map[string]struct {
		env    map[string]string
		claims map[string]any
		want   string
	}{
		"pinned":            {azurePut, nil, "ManagedIdentityCredential"},
		"managed":           {nil, map[string]any{"xms_mirid": "/subscriptions/x"}, "ManagedIdentityCredential"},
		"az login":          {nil, map[string]any{"appid": "04b07795-8ddb-461a-bbee-02f9e1bf7b46"}, "AzureCLICredential"},
		"service principal": {map[string]string{"AZURE_CLIENT_ID": "app"}, nil, "EnvironmentCredential"},
		"unknown":           {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := examine(t, model, nil, func(e *Examination) { e.Credential, e.Place = giver{claims: test.claims}, place(test.env) })
			if s.Token.Credential != test.want || s.Token.ObjectID != object {
				t.Errorf("token %+v, want it by %q", s.Token, test.want)
			}
		})
	}
}

func FuzzReasons(f *testing.F) {
	f.Add(notSignedIn)
	f.Fuzz(func(t *testing.T, text string) {
		for name, reason := range reasons(errors.New(text)) {
			if len(reason) > maxReason+20 || strings.Contains(reason, "\n") {
				t.Errorf("%s: %q", name, reason)
			}
		}
	})
}
