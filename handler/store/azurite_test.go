package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"keyless/handler/localazure"
	"keyless/handler/store"
	"keyless/handler/store/azurite"
)

// emulator is the one Azurite of all tests, set by TestMain.
var emulator azurite.Server

// config returns what opens a store on a container of Azurite, as an identity
// whose tokens are for audience.
func blobConfig(containerName, audience string) (store.BlobConfig, error) {
	client, err := emulator.Client()
	if err != nil {
		return store.BlobConfig{}, err
	}
	issuer, err := localazure.NewIssuer()
	if err != nil {
		return store.BlobConfig{}, err
	}
	return store.BlobConfig{
		Endpoint: emulator.Endpoint, Container: containerName, Credential: credential{issuer, audience},
		Client: azcore.ClientOptions{Transport: client}, Lease: testLease,
	}, nil
}

// testLease is the shortest that Blob Storage gives.
const testLease = 15 * time.Second

// storageAudience is what a token for Blob Storage must be for.
const storageAudience = "https://storage.azure.com"

// newContainer makes a container and returns what opens a store on it.
func newContainer(t testing.TB) store.BlobConfig {
	t.Helper()
	config, err := blobConfig(strings.ToLower(rand.Text()), storageAudience)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClient(config.Endpoint+"/"+config.Container, config.Credential,
		&container.ClientOptions{ClientOptions: config.Client})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return config
}

func openBlob(t testing.TB, config store.BlobConfig) *store.Blob {
	t.Helper()
	s, err := store.NewBlob(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// credential gives tokens for one audience to whoever asks for storage.
type credential struct {
	issuer   *localazure.Issuer
	audience string
}

func (c credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(o.Scopes) != 1 || o.Scopes[0] != storageAudience+"/.default" {
		return azcore.AccessToken{}, fmt.Errorf("asked for a token for %q", o.Scopes)
	}
	token, err := c.issuer.Mint(c.audience, time.Hour)
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, err
}
