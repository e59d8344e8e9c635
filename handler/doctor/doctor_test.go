package doctor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"keyless/handler/fault"
)

const object = "11111111-2222-3333-4444-555555555555"

var (
	model    = Target{Kind: Model, Endpoint: "https://agent-openai-x1.openai.azure.com", Part: "gpt"}
	pool     = Target{Kind: Pool, Endpoint: "https://eastus.dynamicsessions.io/subscriptions/5ab/resourceGroups/rg-agent/sessionPools/pool1"}
	storage  = Target{Kind: Storage, Endpoint: "https://stagentx1.blob.core.windows.net", Part: "agent-state"}
	jobs     = Target{Kind: Queue, Endpoint: "bus-x1.servicebus.windows.net", Part: "jobs"}
	azurePut = map[string]string{"WEBSITE_SITE_NAME": "func-x1", "WEBSITE_RESOURCE_GROUP": "rg-agent", "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
)

func place(env map[string]string) Place {
	return Place{Getenv: func(name string) string { return env[name] }}
}

// jwt returns an unsigned token with these claims.
func jwt(claims map[string]any) string {
	body, _ := json.Marshal(claims)
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(body) + ".c2ln"
}

// giver is a credential that gives tokens with these claims, or fails.
type giver struct {
	claims map[string]any
	err    error
}

func (g giver) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if g.err != nil {
		return azcore.AccessToken{}, g.err
	}
	claims := map[string]any{"aud": strings.TrimSuffix(o.Scopes[0], "/.default"), "oid": object, "tid": "tenant", "appid": "app", "idtyp": "app"}
	for name, value := range g.claims {
		claims[name] = value
	}
	return azcore.AccessToken{Token: jwt(claims), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// public resolves each name to an address of the internet.
func public(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("20.1.2.3")}, nil
}

// examine checks one service whose call ends with err.
func examine(t *testing.T, target Target, err error, change ...func(*Examination)) Service {
	t.Helper()
	e := Examination{
		Checks: []Check{{Target: target, Scope: kinds[target.Kind].audiences[0] + "/.default",
			Call: func(context.Context) error { return err }}},
		Credential: giver{}, Place: place(azurePut), Resolve: public,
	}
	for _, c := range change {
		c(&e)
	}
	r := Run(t.Context(), e)
	var text, asJSON bytes.Buffer
	if err := errors.Join(r.Write(&text, true), r.WriteJSON(&asJSON)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String()+asJSON.String(), "eyJ") {
		t.Errorf("a token is in the report:\n%s", &text)
	}
	if r.Healthy != (r.Services[0].Status == Healthy) {
		t.Errorf("healthy is %v with %+v", r.Healthy, r.Services[0])
	}
	return r.Services[0]
}

func failed(kind fault.Kind, code string) error { return fault.New(kind, code, "It failed.") }

const (
	account   = `$(az cognitiveservices account list --query "[?properties.customSubDomainName=='agent-openai-x1'].id" --output tsv)`
	group     = `$(az cognitiveservices account list --query "[?properties.customSubDomainName=='agent-openai-x1'].resourceGroup" --output tsv)`
	poolID    = "/subscriptions/5ab/resourceGroups/rg-agent/providers/Microsoft.App/sessionPools/pool1"
	container = "$(az storage account show --name stagentx1 --query id --output tsv)/blobServices/default/containers/agent-state"
	queueID   = `$(az servicebus namespace list --query "[?name=='bus-x1'].id" --output tsv)/queues/jobs`
	grant     = "az role assignment create --assignee-object-id " + object + " --assignee-principal-type ServicePrincipal --role "
)

// Each failure, and the command that mends it to the letter.
func TestEachFailureHasItsRemedy(t *testing.T) {
	for _, test := range []struct {
		target  Target
		code    string
		problem Problem
		command string
	}{
		{model, "model_forbidden", MissingRole, grant + `"Cognitive Services OpenAI User" --scope "` + account + `"`},
		{model, "model_unauthorized", TokenRefused, "az account show --query tenantId --output tsv"},
		{model, "model_not_found", NotFound, `az cognitiveservices account deployment create --name agent-openai-x1 --resource-group "` + group +
			`" --deployment-name gpt --model-format OpenAI --model-name MODEL --model-version VERSION --sku-name GlobalStandard --sku-capacity 50`},
		{model, "model_unreachable", Unreachable, `az cognitiveservices account show --name agent-openai-x1 --resource-group "` + group +
			`" --query "properties.{public:publicNetworkAccess, rules:networkAcls}"`},
		{pool, "pool_forbidden", MissingRole, grant + `"Azure ContainerApps Session Executor" --scope "` + poolID + `"`},
		{pool, "pool_unauthorized", TokenRefused, grant + `"Azure ContainerApps Session Executor" --scope "` + poolID + `"`},
		{pool, "pool_not_found", NotFound, "az containerapp sessionpool show --name pool1 --resource-group rg-agent --query properties.poolManagementEndpoint --output tsv"},
		{pool, "pool_unavailable", Unreachable, "az containerapp sessionpool show --name pool1 --resource-group rg-agent"},
		{storage, "storage_role_missing", MissingRole, grant + `"Storage Blob Data Contributor" --scope "` + container + `"`},
		{storage, "storage_container_not_found", NotFound, "az storage container create --account-name stagentx1 --name agent-state --auth-mode login"},
		{storage, "storage_network_denied", PrivateNet, `az storage account show --name stagentx1 --query "{public:publicNetworkAccess, rules:networkRuleSet}"`},
		{storage, "storage_account_not_found", WrongEndpoint, `az storage account list --query "[].{name:name, endpoint:primaryEndpoints.blob}" --output table`},
		{jobs, "queue_role_missing", MissingRole, grant + `"Azure Service Bus Data Sender" --scope "` + queueID + `"`},
		{jobs, "queue_not_found", NotFound, `az servicebus queue create --namespace-name bus-x1 --resource-group "$(az servicebus namespace list --query "[?name=='bus-x1'].resourceGroup" --output tsv)" --name jobs --enable-session true --enable-duplicate-detection true`},
		{jobs, "queue_unreachable", Unreachable, `az servicebus namespace network-rule-set list --namespace-name bus-x1 --resource-group "$(az servicebus namespace list --query "[?name=='bus-x1'].resourceGroup" --output tsv)"`},
		{model, "identity_missing", NoIdentity, "az functionapp identity assign --name func-x1 --resource-group rg-agent"},
	} {
		t.Run(test.code, func(t *testing.T) {
			s := examine(t, test.target, failed(fault.Denied, test.code))
			if s.Status != Sick || s.Finding.Problem != test.problem || s.Finding.Code != test.code {
				t.Fatalf("found %+v", s.Finding)
			}
			if !slices.Contains(s.Finding.Commands, test.command) {
				t.Errorf("commands:\n%s\nwant\n%s", strings.Join(s.Finding.Commands, "\n"), test.command)
			}
		})
	}
}

func TestEveryRemedyIsWhole(t *testing.T) {
	for code, r := range remedies {
		if r.problem == "" {
			t.Errorf("%s has no problem", code)
		}
		for target := range kinds {
			if r.commands == nil {
				continue
			}
			for _, command := range r.commands(&patient{target: Target{Kind: Kind(target)}, place: place(nil)}) {
				if strings.ContainsAny(command, "<>;`") || strings.Count(command, `"`)%2 != 0 {
					t.Errorf("%s: %s", code, command)
				}
			}
		}
	}
}

// Settings become parts of commands that people paste into a shell.
func TestSettingsCannotBecomeCommands(t *testing.T) {
	evil := Target{Kind: Queue, Endpoint: `x";pwn;".servicebus.windows.net`, Part: "$(pwn)"}
	for _, command := range append(append(evil.make(), evil.assign(&Token{ObjectID: "`pwn`"})), evil.network()) {
		if strings.Contains(command, "pwn") {
			t.Error(command)
		}
	}
}

func TestWhatElseIsKnownExplainsBetter(t *testing.T) {
	denied, silent := failed(fault.Denied, "pool_unauthorized"), failed(fault.Unavailable, "storage_unreachable")
	for name, test := range map[string]struct {
		target  Target
		err     error
		change  func(*Examination)
		problem Problem
		says    string
	}{
		"wrong audience": {pool, denied, func(e *Examination) { e.Checks[0].Scope = "https://acasessions.io/.default" }, WrongAudience,
			"az functionapp config appsettings set --name func-x1 --resource-group rg-agent --settings SESSION_POOL_AUDIENCE=https://dynamicsessions.io/.default"},
		"wrong audience, on a laptop": {pool, denied, func(e *Examination) { e.Checks[0].Scope, e.Place = "https://acasessions.io/.default", place(nil) }, WrongAudience,
			"export SESSION_POOL_AUDIENCE=https://dynamicsessions.io/.default"},
		"token from the future": {pool, denied, func(e *Examination) {
			e.Credential = giver{claims: map[string]any{"iat": time.Now().Add(time.Hour).Unix()}}
		}, ClockSkew, "behind"},
		"wrong form": {Target{Kind: Pool, Endpoint: "https://management.azure.com/x"}, denied, nil, WrongEndpoint, "is not of the form https://<region>.dynamicsessions.io"},
		"wrong host": {Target{Kind: Model, Endpoint: "https://api.openai.com", Part: "gpt"}, failed(fault.Denied, "model_unauthorized"), nil, WrongEndpoint, "is not of the form"},
		"no such name": {storage, silent, func(e *Examination) {
			e.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{IsNotFound: true}
			}
		}, WrongEndpoint, "There is no host stagentx1.blob.core.windows.net"},
		"private": {storage, silent, func(e *Examination) {
			e.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("10.1.0.4")}, nil
			}
		}, PrivateNet, "10.1.0.4"},
		"a person": {storage, failed(fault.Denied, "storage_role_missing"), func(e *Examination) {
			e.Credential = giver{claims: map[string]any{"idtyp": "user"}}
		}, MissingRole, "--assignee-principal-type User"},
		"unforeseen": {storage, errors.New("secret"), nil, Other, "does not know"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.change == nil {
				test.change = func(*Examination) {}
			}
			s := examine(t, test.target, test.err, test.change)
			text := fmt.Sprint(s.Finding)
			if s.Finding.Problem != test.problem || !strings.Contains(text, test.says) || strings.Contains(text, "secret") {
				t.Errorf("found %s", text)
			}
		})
	}
}

func TestTheClockIsReadFromAnswers(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-20*time.Minute).UTC().Format(http.TimeFormat))
	}))
	defer service.Close()
	client := &http.Client{Transport: WatchDates(http.DefaultTransport)}
	s := examine(t, model, nil, func(e *Examination) {
		e.Checks[0].Call = func(ctx context.Context) error {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, service.URL, nil)
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			return errors.Join(res.Body.Close(), failed(fault.Denied, "model_unauthorized"))
		}
	})
	if s.Finding.Problem != ClockSkew || !strings.Contains(s.Finding.Cause, " ahead") {
		t.Errorf("found %+v", s.Finding)
	}
}

// However many services hang, the report is there in time.
func TestDeadServicesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("ask: %w", ctx.Err())
		}
		e := Examination{Credential: giver{}, Resolve: public}
		for _, target := range []Target{model, pool, storage, jobs} {
			e.Checks = append(e.Checks, Check{Target: target, Scope: "https://x/.default", Call: hangs})
		}
		start := time.Now()
		r := Run(t.Context(), e)
		if took := time.Since(start); took >= 10*time.Second {
			t.Errorf("took %v", took)
		}
		for _, s := range r.Services {
			if s.Finding == nil || s.Finding.Problem != Unreachable || s.Finding.Code != noAnswer {
				t.Errorf("%s: %+v", s.Name, s.Finding)
			}
		}
	})
}

func TestNoColoursButOnATerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if Colours(file, func(string) string { return "" }) {
		t.Error("a file gets colours")
	}
	if null, err := os.Open(os.DevNull); err == nil {
		defer null.Close()
		if Colours(null, func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }) {
			t.Error("NO_COLOR is not obeyed")
		}
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add(jwt(map[string]any{"aud": "a"}))
	f.Add("a.b.c")
	f.Add("a.e30")
	f.Fuzz(func(t *testing.T, token string) {
		if got := inspect(azcore.AccessToken{Token: token}, "https://x/.default"); got.principal() == "" {
			t.Error("no principal type")
		}
	})
}
