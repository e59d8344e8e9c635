package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"keyless/handler/localazure"
	"keyless/handler/store/azurite"
)

// storageToken gives the tests themselves access to Azurite.
type storageToken struct{ issuer *localazure.Issuer }

func (c storageToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := c.issuer.Mint("https://storage.azure.com", time.Hour)
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}

// newStorage starts Azurite with the app's container in it, and returns the
// settings that point a handler at it.
func newStorage(t *testing.T, issuer *localazure.Issuer) map[string]string {
	t.Helper()
	server, stop, err := azurite.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	records, err := container.NewClient(server.Endpoint+"/agent-state", storageToken{issuer},
		&container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"AGENT_STORAGE_BLOB_ENDPOINT": server.Endpoint, "AGENT_STORAGE_DIR": "", "SSL_CERT_FILE": server.CertFile}
}

// Two instances of the deployed binary share conversations in Blob Storage,
// with a token for its audience.
func TestConversationsInBlobStorage(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	az := newAzure(t, blocking(entered, release))
	env := maps.Clone(az.env)
	maps.Copy(env, newStorage(t, az.tokens.Issuer))
	one, two := startHandler(t, env), startHandler(t, env)

	first := one.chat(t, "run x = 41", "")
	id := first.text("conversation_id")
	if first.status != 200 {
		t.Fatalf("answer %d %s", first.status, first.body)
	}
	if !slices.ContainsFunc(az.take(), func(call string) bool { return strings.HasSuffix(call, " https://storage.azure.com") }) {
		t.Error("no token was fetched for storage")
	}
	if got := two.chat(t, "run x + 1", id); got.status != 200 || !strings.Contains(got.text("reply"), "42") || got.field("turn") != 2.0 {
		t.Errorf("the other instance's turn = %d %s", got.status, got.body)
	}

	waiting := make(chan answer, 1)
	go func() { waiting <- one.chat(t, "wait", id) }()
	<-entered
	if got := two.chat(t, "me too", id); got.status != 409 || got.text("code") != "conversation_busy" {
		t.Errorf("a second turn = %d %s", got.status, got.body)
	}
	close(release)
	if got := <-waiting; got.status != 200 {
		t.Errorf("the first turn = %d %s", got.status, got.body)
	}

	if got := two.send(t, proxied, "DELETE", "/api/conversations/"+id, ""); got.status != 204 {
		t.Errorf("DELETE = %d %s", got.status, got.body)
	}
	if got := one.send(t, proxied, "GET", "/api/conversations/"+id, ""); got.status != 404 {
		t.Errorf("GET after DELETE = %d %s", got.status, got.body)
	}
}

func TestStorageThatIsNotThere(t *testing.T) {
	az := newAzure(t, localazure.PlannerFunc(runs))
	env := maps.Clone(az.env)
	maps.Copy(env, newStorage(t, az.tokens.Issuer))
	env["AGENT_STORAGE_CONTAINER"] = "no-such-container"
	h := startHandler(t, env)
	if got := h.chat(t, "hello", ""); got.status != 502 || got.text("code") != "storage_container_not_found" || !strings.Contains(got.text("detail"), "no-such-container") {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}
