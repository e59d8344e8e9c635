package doctor

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Credential is one of those that DefaultAzureCredential tries.
type Credential struct {
	Name string `json:"name"`
	// Used tells that it gave the tokens.
	Used bool `json:"used"`
	// Note says why it was passed over, or how it is chosen.
	Note string `json:"note"`
}

// link is a credential of the chain.
type link struct {
	name  string
	needs string
	envs  []string // all to be set, for it to be tried at all
	dev   bool     // among those that AZURE_TOKEN_CREDENTIALS=dev selects
}

// order is that of DefaultAzureCredential (azidentity,
// default_azure_credential.go).
var order = [...]link{
	{"EnvironmentCredential", "a service principal in the environment", []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID"}, false},
	{"WorkloadIdentityCredential", "a Kubernetes workload's token file", []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"}, false},
	{"ManagedIdentityCredential", "an identity endpoint, which Azure gives", nil, false},
	{"AzureCLICredential", "az login", nil, true},
	{"AzureDeveloperCLICredential", "azd auth login", nil, true},
	{"AzurePowerShellCredential", "Connect-AzAccount", nil, true},
}

// selects reports whether AZURE_TOKEN_CREDENTIALS leaves the credential in the
// chain.
func (p Place) selects(name string) bool {
	i := slices.IndexFunc(order[:], func(l link) bool { return l.name == name })
	switch selection := p.env("AZURE_TOKEN_CREDENTIALS"); strings.ToLower(selection) {
	case "":
		return true
	case "dev":
		return order[i].dev
	case "prod":
		return !order[i].dev
	default:
		return strings.EqualFold(selection, name)
	}
}

// Ids of the programs that persons sign in with. Microsoft publishes them
// (learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in);
// azd signs in as the Azure CLI does.
var programs = map[string]string{
	"04b07795-8ddb-461a-bbee-02f9e1bf7b46": "AzureCLICredential",
	"1950a258-227b-4e31-a9cf-717495945fc2": "AzurePowerShellCredential",
}

// giver returns the credential that gave the token, as far as the environment
// and the token's claims tell; else nothing.
func (p Place) giver(t Token) string {
	pinned := slices.IndexFunc(order[:], func(l link) bool { return strings.EqualFold(l.name, p.env("AZURE_TOKEN_CREDENTIALS")) })
	switch {
	case pinned >= 0:
		return order[pinned].name
	case t.resource != "":
		return "ManagedIdentityCredential"
	case t.AppID != "" && t.AppID == p.env("AZURE_CLIENT_ID") && p.env("AZURE_FEDERATED_TOKEN_FILE") != "":
		return "WorkloadIdentityCredential"
	case t.AppID != "" && t.AppID == p.env("AZURE_CLIENT_ID"):
		return "EnvironmentCredential"
	}
	return programs[t.AppID]
}

// chain explains the chain: what was tried, in order, and why it was passed
// over. failure is why there was no token, or nil.
func (p Place) chain(used *Token, failure error) []Credential {
	said := reasons(failure)
	giver := ""
	if used != nil {
		giver = used.Credential
	}
	last := len(order) // the last that was asked
	for i, l := range order {
		if l.name == giver || giver == "" && said[l.name] != "" {
			last = i
		}
	}
	var all []Credential
	for i, l := range order {
		note := cmp.Or(said[l.name], p.note(l, giver, i > last))
		all = append(all, Credential{Name: l.name, Used: l.name == giver, Note: note})
	}
	return all
}

// note says why a credential about which no error tells gave no token. unasked
// tells that the search ended before it.
func (p Place) note(l link, giver string, unasked bool) string {
	missing := slices.DeleteFunc(slices.Clone(l.envs), func(env string) bool { return p.env(env) != "" })
	switch {
	case l.name == giver:
		return "gave the tokens"
	case !p.selects(l.name):
		return "left out by AZURE_TOKEN_CREDENTIALS=" + p.env("AZURE_TOKEN_CREDENTIALS")
	case unasked && giver != "":
		return "not asked: one before it gave the tokens"
	case unasked:
		return "not asked: one before it failed for good"
	case len(missing) > 0:
		return "passed over: " + strings.Join(missing, ", ") + " not set"
	}
	return "needs " + l.needs
}

// saidLine is a line of a chain's error that begins what a credential said.
var saidLine = regexp.MustCompile(`^\s*(\w+Credential)(?::| authentication failed\.)\s*(.*)$`)

// answerLine tells what the identity endpoint or Entra ID answered to it.
var answerLine = regexp.MustCompile(`^\s*RESPONSE \d+: (.*)$`)

// maxReason bounds a reason, in bytes.
const maxReason = 160

// reasons takes from azidentity's error, for people to read, what each
// credential said. Nothing is decided by it.
func reasons(failure error) map[string]string {
	if failure == nil {
		return nil
	}
	said, name := map[string]string{}, ""
	for line := range strings.Lines(failure.Error()) {
		line = strings.TrimRight(line, "\r\n")
		reason := ""
		if m := saidLine.FindStringSubmatch(line); m != nil {
			name, reason = m[1], short(m[2])
		} else if m := answerLine.FindStringSubmatch(line); m != nil {
			reason = "answered: " + short(m[1])
		}
		if said[name] == "" && reason != "" {
			said[name] = reason
		}
	}
	return said
}

// tokenLike is what a JWT begins with; no error should hold one.
var tokenLike = regexp.MustCompile(`eyJ[\w.-]*`)

func short(text string) string {
	text, _, _ = strings.Cut(text, "To troubleshoot, visit")
	text = tokenLike.ReplaceAllString(strings.TrimSpace(text), "…")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return strings.TrimRight(text, ". ")
}
