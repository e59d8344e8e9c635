package identity

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"keyless/handler/fault"
)

// Names of settings that azidentity reads by itself.
const (
	selection = "AZURE_TOKEN_CREDENTIALS" // which credentials of the chain to use
	clientID  = "AZURE_CLIENT_ID"         // which user-assigned identity to use
)

// managedOnly is the value of [selection] that pins the chain to managed
// identity.
const managedOnly = "ManagedIdentityCredential"

// place is where the process runs, as far as its identity goes.
type place struct {
	azure    bool   // on a Functions or App Service host
	endpoint bool   // the host offers an identity endpoint
	managed  bool   // managed identity is the only credential
	userID   string // client id of the user-assigned identity that was asked for; mostly none
	app      string // the app's name; empty away from Azure
	group    string // its resource group; may be empty
}

// inAzure tells a Functions or App Service host by what it gives each process:
// the site's name, and, where the app has an identity, the endpoint to ask
// (learn.microsoft.com/azure/app-service/reference-app-settings and
// .../overview-managed-identity).
func inAzure() bool {
	return os.Getenv("WEBSITE_SITE_NAME") != "" || os.Getenv("IDENTITY_ENDPOINT") != ""
}

// settle makes the environment such as azidentity needs it. It changes the
// environment because DefaultAzureCredential takes its selection from there
// and has no option for it; doing so here, once and before the credential is
// made, keeps a deployment that lacks the setting from walking the chain and
// from picking up a stray client secret on the way.
func settle() error {
	for _, name := range []string{selection, clientID} {
		// To azidentity an empty setting is a wrong one.
		if value, set := os.LookupEnv(name); set && value == "" {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset %s: %w", name, err)
			}
		}
	}
	if _, set := os.LookupEnv(selection); set || !inAzure() {
		return nil
	}
	if err := os.Setenv(selection, managedOnly); err != nil {
		return fmt.Errorf("set %s: %w", selection, err)
	}
	return nil
}

// locate reads where the process runs. group overrides the environment's.
func locate(group string) place {
	return place{
		azure:    inAzure(),
		endpoint: os.Getenv("IDENTITY_ENDPOINT") != "" && os.Getenv("IDENTITY_HEADER") != "",
		managed:  strings.EqualFold(os.Getenv(selection), managedOnly),
		userID:   os.Getenv(clientID),
		app:      os.Getenv("WEBSITE_SITE_NAME"),
		group:    cmp.Or(group, os.Getenv("WEBSITE_RESOURCE_GROUP")),
	}
}

// noIdentity is the error of an app whose host offers no identity endpoint.
func (p place) noIdentity() *fault.Error {
	return fault.New(fault.Misconfigured, "identity_missing",
		"The app has no managed identity. Turn on its system-assigned identity (%s), then restart the app.", p.az("identity assign"))
}

// issuer names who gives the tokens.
func (p place) issuer() string {
	if p.managed || p.azure {
		return "the identity endpoint"
	}
	return "Entra ID"
}

// advice says what an operator can do when a token was not to be had.
func (p place) advice() string {
	switch {
	case !p.managed && !p.azure:
		return "Run `az login` (or `azd auth login`) and try again."
	case p.userID != "":
		return fmt.Sprintf("Check that %s (%s) is the client id of an identity that the app has (%s).", clientID, p.userID, p.az("identity show"))
	case p.app != "":
		return fmt.Sprintf("Check that the app's system-assigned identity is on (%s).", p.az("identity assign"))
	case p.endpoint:
		return "" // not a host's endpoint: its own words must do
	}
	return fmt.Sprintf("There is one in Azure only: elsewhere remove %s and run `az login`.", selection)
}

// az returns a command on the app, with its real names as far as they are
// known.
func (p place) az(command string) string {
	return fmt.Sprintf("az functionapp %s --name %s --resource-group %s", command, cmp.Or(p.app, "<app>"), cmp.Or(p.group, "<group>"))
}
