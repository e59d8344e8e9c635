package store_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"keyless/handler/localazure"
	"keyless/handler/store"
)

// azuriteMain is where `make azurite` puts the emulator's blob service.
const azuriteMain = "../../.cache/azurite/node_modules/azurite/dist/src/blob/main.js"

// azurite is a running Azurite, one for all tests.
type azurite struct {
	endpoint string
	certFile string // its certificate, for the clients to trust
}

// emulator is set by TestMain.
var emulator azurite

// startAzurite starts Azurite with a certificate made in dir, on a port of its
// choice, and returns when it listens.
func startAzurite(dir string) (_ azurite, stop func(), err error) {
	main, err := filepath.Abs(azuriteMain)
	if err == nil {
		_, err = os.Stat(main)
	}
	if err != nil {
		return azurite{}, nil, fmt.Errorf("Azurite is not installed, run `make azurite`: %w", err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(cert, key); err != nil {
		return azurite{}, nil, err
	}
	cmd := exec.Command("node",
		"--import", "data:text/javascript,process.stdin.resume().on('end',()=>process.exit())", // ends with the tests, however they end
		main, "--blobHost", "127.0.0.1", "--blobPort", "0", "--oauth", "basic", "--cert", cert, "--key", key,
		"--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return azurite{}, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return azurite{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return azurite{}, nil, fmt.Errorf("start Azurite: %w", err)
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	address, err := listenAddress(stdout, time.Minute)
	if err != nil {
		stop()
		return azurite{}, nil, err
	}
	return azurite{endpoint: address + "/devstoreaccount1", certFile: cert}, stop, nil
}

// listenAddress reads Azurite's output up to the line that tells its address.
func listenAddress(stdout io.Reader, limit time.Duration) (string, error) {
	found := make(chan string, 1)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if _, address, ok := strings.Cut(lines.Text(), "successfully listens on "); ok {
				found <- address
			}
		}
	}()
	select {
	case address, ok := <-found:
		if !ok {
			return "", fmt.Errorf("Azurite ended before it listened")
		}
		return address, nil
	case <-time.After(limit):
		return "", fmt.Errorf("Azurite did not listen within %v", limit)
	}
}

// writeCertificate writes a certificate for the loopback address and its key.
func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "azurite"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

// client returns an HTTP client that trusts Azurite.
func (a azurite) client() (*http.Client, error) {
	cert, err := os.ReadFile(a.certFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64,
	}}, nil
}

// config returns what opens a store on a container of Azurite, as an identity
// whose tokens are for audience.
func (a azurite) config(containerName, audience string) (store.BlobConfig, error) {
	client, err := a.client()
	if err != nil {
		return store.BlobConfig{}, err
	}
	issuer, err := localazure.NewIssuer()
	if err != nil {
		return store.BlobConfig{}, err
	}
	return store.BlobConfig{
		Endpoint: a.endpoint, Container: containerName, Credential: credential{issuer, audience},
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
	config, err := emulator.config(strings.ToLower(rand.Text()), storageAudience)
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
