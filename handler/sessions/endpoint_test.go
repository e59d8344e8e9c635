package sessions_test

import (
	"strings"
	"testing"

	"keyless/handler/sessions"
)

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct {
		endpoint string
		ok       bool
	}{
		{"https://eastus.dynamicsessions.io" + poolPath, true},
		{"http://127.0.0.1:8080" + poolPath, true},
		{"http://[::1]:8080" + poolPath, true},
		{"http://localhost:8080" + poolPath, true},
		{"http://eastus.dynamicsessions.io" + poolPath, false},
		{"http://127.0.0.1.example.com" + poolPath, false},
		{"https://user:pw@eastus.dynamicsessions.io", false},
		{"https://eastus.dynamicsessions.io?api-version=1", false},
		{"eastus.dynamicsessions.io", false},
		{"https://POOL.env.eastus.AzureContainerApps.io", true},
		{"https://eastus.dynamicsession.io" + poolPath, false},
		{"https://evildynamicsessions.io" + poolPath, false},
		{"https://dynamicsessions.io.evil.example" + poolPath, false},
		{"https://pool.env.usgovvirginia.azurecontainerapps.us", false},
		{"ftp://127.0.0.1/", false},
		{"", false},
	} {
		_, err := sessions.New(tt.endpoint, &tokens{}, nil)
		if (err == nil) != tt.ok {
			t.Errorf("New(%q) = %v, want ok: %v", tt.endpoint, err, tt.ok)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
	if _, err := sessions.New("https://eastus.dynamicsessions.io", nil, nil); err == nil {
		t.Error("New without a credential succeeded")
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, tt := range []struct {
		endpoint string
		allowed  []string
		ok       bool
	}{
		{"https://pool.env.usgovvirginia.azurecontainerapps.us", []string{"*.azurecontainerapps.us"}, true},
		{"https://pool.internal:8443/p", []string{"pool.internal"}, true},
		{"https://a.pool.internal", []string{"pool.internal"}, false},
		{"https://eastus.dynamicsessions.io", []string{"pool.internal"}, false},
		{"https://eastus.dynamicsessions.io", []string{}, false},
		{"http://127.0.0.1:1", []string{}, true},
		{"http://pool.internal", []string{"pool.internal"}, false},
		{"ftp://127.0.0.1", []string{"127.0.0.1"}, false},
	} {
		_, err := sessions.New(tt.endpoint, &tokens{}, &sessions.Options{AllowedHosts: tt.allowed})
		if (err == nil) != tt.ok {
			t.Errorf("New(%q) with %q = %v, want ok: %v", tt.endpoint, tt.allowed, err, tt.ok)
		}
	}
	_, err := sessions.New("https://eastus.dynamicsession.io", &tokens{}, nil)
	if err == nil || !strings.Contains(err.Error(), "*.dynamicsessions.io") || !strings.Contains(err.Error(), "AllowedHosts") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}
