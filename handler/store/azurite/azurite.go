// Package azurite starts Azurite, the Blob Storage emulator, for tests. It
// checks tokens as Azure does in all but their signature, so that the real
// client can be tested with the real audience. `make azurite` installs it.
package azurite

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is where `make azurite` puts the emulator's blob service, from the
// root of the repository.
const program = ".cache/azurite/node_modules/azurite/dist/src/blob/main.js"

// Server is a running Azurite.
type Server struct {
	Endpoint string // of its one account
	CertFile string // its certificate, in PEM, for clients to trust
}

// Start starts Azurite with a certificate made in dir, on a port of its choice,
// and returns when it listens. Azurite ends with stop, or with this process.
func Start(dir string) (_ Server, stop func(), err error) {
	main, err := find()
	if err != nil {
		return Server{}, nil, err
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(cert, key); err != nil {
		return Server{}, nil, err
	}
	cmd := exec.Command("node",
		"--import", "data:text/javascript,process.stdin.resume().on('end',()=>process.exit())", // ends with the tests, however they end
		main, "--blobHost", "127.0.0.1", "--blobPort", "0", "--oauth", "basic", "--cert", cert, "--key", key,
		"--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Server{}, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Server{}, nil, err
	}
	if err := cmd.Start(); err != nil {
		return Server{}, nil, fmt.Errorf("start Azurite: %w", err)
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	address, err := listenAddress(stdout, time.Minute)
	if err != nil {
		stop()
		return Server{}, nil, err
	}
	return Server{Endpoint: address + "/devstoreaccount1", CertFile: cert}, stop, nil
}

// find returns the path of the program, looking upwards for the root of the
// repository: tests run in their package's directory.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if main := filepath.Join(dir, program); exists(main) {
			return main, nil
		}
		if exists(filepath.Join(dir, "go.mod")) || dir == filepath.Dir(dir) {
			return "", errors.New("there is no Azurite: run `make azurite`")
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
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
			return "", errors.New("ended before it listened")
		}
		return address, nil
	case <-time.After(limit):
		return "", fmt.Errorf("did not listen within %v", limit)
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

// Client returns an HTTP client that trusts Azurite.
func (s Server) Client() (*http.Client, error) {
	cert, err := os.ReadFile(s.CertFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 64,
	}}, nil
}
