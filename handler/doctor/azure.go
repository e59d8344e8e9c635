package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Kind is a sort of service.
type Kind int

const (
	Model Kind = iota
	Pool
	Storage
	Queue
)

// Target is a service's resource in Azure, as the settings name it.
type Target struct {
	Kind     Kind
	Endpoint string // a URL; of Queue, the namespace's host
	Part     string // the deployment, container or queue in it
	// Elsewhere tells that it is reached by another way than its endpoint, as
	// a stand-in is: where that name leads then says nothing.
	Elsewhere bool
}

// traits are what a kind of service is called and asks for.
type traits struct {
	name      string
	role      string   // least role for what the app does
	audiences []string // that the service takes tokens for
	setting   string   // that names the audience; empty: it cannot be set
	hosts     []string // endings of its host names
	endpoint  string   // how its endpoint looks
}

// The role that each service asks for is named as in
// learn.microsoft.com/azure/role-based-access-control/built-in-roles.
var kinds = [...]traits{
	Model: {"Azure OpenAI", "Cognitive Services OpenAI User",
		[]string{"https://cognitiveservices.azure.com", "https://ai.azure.com"}, "AZURE_OPENAI_AUDIENCE",
		[]string{".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".azure.us", ".azure.cn"},
		"https://<name>.openai.azure.com"},
	Pool: {"Session pool", "Azure ContainerApps Session Executor",
		[]string{"https://dynamicsessions.io"}, "SESSION_POOL_AUDIENCE",
		[]string{".dynamicsessions.io"},
		"https://<region>.dynamicsessions.io/subscriptions/<id>/resourceGroups/<group>/sessionPools/<pool>"},
	Storage: {"Storage", "Storage Blob Data Contributor",
		[]string{"https://storage.azure.com"}, "",
		[]string{".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".blob.core.chinacloudapi.cn", ".blob.storage.azure.net"},
		"https://<account>.blob.core.windows.net"},
	Queue: {"Service Bus", "Azure Service Bus Data Sender",
		[]string{"https://servicebus.azure.net"}, "",
		[]string{".servicebus.windows.net", ".servicebus.usgovcloudapi.net", ".servicebus.chinacloudapi.cn"},
		"<name>.servicebus.windows.net"},
}

// Name returns what people call the service.
func (t Target) Name() string { return kinds[t.Kind].name }

func (t Target) url() *url.URL {
	endpoint := t.Endpoint
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return &url.URL{}
	}
	return u
}

func (t Target) host() string { return strings.ToLower(t.url().Hostname()) }

// label returns the resource's name, which is the first label of its host.
func (t Target) label() string {
	name, _, _ := strings.Cut(t.host(), ".")
	return quoted(name, "NAME")
}

// part returns the name of the part.
func (t Target) part() string { return quoted(t.Part, "NAME") }

// plain is what may stand in a shell command as it is. Settings are not ours:
// what they hold must not become a command of its own.
var plain = regexp.MustCompile(`^[A-Za-z0-9._()-]+$`)

// quoted returns name if it is fit for a command, else the placeholder, which
// is in capitals so that a shell makes nothing of it.
func quoted(name, placeholder string) string {
	if !plain.MatchString(name) {
		return placeholder
	}
	return name
}

// poolPath is the path of a pool's endpoint, which has no "providers" in it.
var poolPath = regexp.MustCompile(`^/subscriptions/([A-Za-z0-9-]+)/resourceGroups/([\w.()-]+)/sessionPools/([A-Za-z0-9-]+)/?$`)

// pool returns the parts of a pool's endpoint.
func (t Target) pool() (subscription, group, name string) {
	m := poolPath.FindStringSubmatch(t.url().Path)
	if m == nil {
		return "SUBSCRIPTION", "GROUP", "POOL"
	}
	return m[1], m[2], m[3]
}

// misshapen says what is wrong with the form of an endpoint that did not work,
// or nothing. A stand-in may have any.
func (t Target) misshapen() string {
	host := t.host()
	if ip, err := netip.ParseAddr(host); t.Elsewhere || host == "localhost" || err == nil && ip.IsLoopback() {
		return ""
	}
	s := kinds[t.Kind]
	fits := slices.ContainsFunc(s.hosts, func(ending string) bool { return strings.HasSuffix(host, ending) })
	if fits && (t.Kind != Pool || poolPath.MatchString(t.url().Path)) {
		return ""
	}
	return fmt.Sprintf("The endpoint %q is not of the form %s.", t.Endpoint, s.endpoint)
}

// account finds an Azure OpenAI account by its subdomain; what is asked of it
// is a field.
func (t Target) account(field string) string {
	return fmt.Sprintf(`$(az cognitiveservices account list --query "[?properties.customSubDomainName=='%s'].%s" --output tsv)`, t.label(), field)
}

// namespace finds a Service Bus namespace by its name.
func (t Target) namespace(field string) string {
	return fmt.Sprintf(`$(az servicebus namespace list --query "[?name=='%s'].%s" --output tsv)`, t.label(), field)
}

// scope returns the resource's id, or what finds it out, for use within double
// quotes. Storage and Service Bus roles go to the container and the queue.
func (t Target) scope() string {
	switch t.Kind {
	case Model:
		return t.account("id")
	case Pool:
		subscription, group, name := t.pool()
		return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.App/sessionPools/%s", subscription, group, name)
	case Storage:
		return fmt.Sprintf("$(az storage account show --name %s --query id --output tsv)/blobServices/default/containers/%s", t.label(), t.part())
	}
	return t.namespace("id") + "/queues/" + t.part()
}

// assign returns the command that gives the service's role to whom the token
// is of.
func (t Target) assign(token *Token) string {
	who, kind := "OBJECT_ID", "ServicePrincipal"
	if token != nil {
		who, kind = quoted(token.ObjectID, who), token.principal()
	}
	return fmt.Sprintf(`az role assignment create --assignee-object-id %s --assignee-principal-type %s --role "%s" --scope "%s"`,
		who, kind, kinds[t.Kind].role, t.scope())
}

// assigned returns the command that lists the roles that there are.
func (t Target) assigned(token *Token) string {
	who := "OBJECT_ID"
	if token != nil {
		who = quoted(token.ObjectID, who)
	}
	return fmt.Sprintf(`az role assignment list --assignee %s --scope "%s" --include-inherited --output table`, who, t.scope())
}

// show returns the command that tells the right endpoint.
func (t Target) show() []string {
	switch t.Kind {
	case Model:
		return []string{"az cognitiveservices account list --query \"[].{name:name, endpoint:properties.endpoint}\" --output table"}
	case Pool:
		if t.misshapen() != "" {
			return []string{"az containerapp sessionpool list --query \"[].{name:name, endpoint:properties.poolManagementEndpoint}\" --output table"}
		}
		_, group, name := t.pool()
		return []string{fmt.Sprintf("az containerapp sessionpool show --name %s --resource-group %s --query properties.poolManagementEndpoint --output tsv", name, group)}
	case Storage:
		return []string{"az storage account list --query \"[].{name:name, endpoint:primaryEndpoints.blob}\" --output table"}
	}
	return []string{"az servicebus namespace list --query \"[].{name:name, endpoint:serviceBusEndpoint}\" --output table"}
}

// make returns the commands that list and make the part that is missing.
func (t Target) make() []string {
	switch t.Kind {
	case Model:
		where := fmt.Sprintf(`--name %s --resource-group "%s"`, t.label(), t.account("resourceGroup"))
		return []string{
			"az cognitiveservices account deployment list " + where + " --output table",
			fmt.Sprintf("az cognitiveservices account deployment create %s --deployment-name %s --model-format OpenAI --model-name MODEL --model-version VERSION --sku-name GlobalStandard --sku-capacity 50", where, t.part()),
		}
	case Storage:
		return []string{fmt.Sprintf("az storage container create --account-name %s --name %s --auth-mode login", t.label(), t.part())}
	case Queue:
		return []string{fmt.Sprintf(`az servicebus queue create --namespace-name %s --resource-group "%s" --name %s --enable-session true --enable-duplicate-detection true`,
			t.label(), t.namespace("resourceGroup"), t.part())}
	}
	return t.show()
}

// network returns the command that shows whom the resource lets in.
func (t Target) network() string {
	switch t.Kind {
	case Model:
		return fmt.Sprintf(`az cognitiveservices account show --name %s --resource-group "%s" --query "properties.{public:publicNetworkAccess, rules:networkAcls}"`,
			t.label(), t.account("resourceGroup"))
	case Storage:
		return fmt.Sprintf(`az storage account show --name %s --query "{public:publicNetworkAccess, rules:networkRuleSet}"`, t.label())
	case Queue:
		return fmt.Sprintf(`az servicebus namespace network-rule-set list --namespace-name %s --resource-group "%s"`, t.label(), t.namespace("resourceGroup"))
	}
	_, group, name := t.pool()
	return fmt.Sprintf("az containerapp sessionpool show --name %s --resource-group %s", name, group)
}

// Place is where the program runs, as far as commands and explanations need it.
type Place struct {
	Getenv func(string) string
}

func (p Place) env(name string) string {
	if p.Getenv == nil {
		return ""
	}
	return p.Getenv(name)
}

// inAzure reports whether an Azure Functions host is around us: it names the site.
func (p Place) inAzure() bool { return p.env("WEBSITE_SITE_NAME") != "" }

// app returns how a command names the Functions app. The Flex Consumption plan
// does not tell the resource group (github.com/Azure/azure-functions-host/issues/10441).
func (p Place) app() string {
	name := quoted(p.env("WEBSITE_SITE_NAME"), "APP")
	lookUp := fmt.Sprintf(`"$(az functionapp list --query "[?name=='%s'].resourceGroup" --output tsv)"`, name)
	return fmt.Sprintf("--name %s --resource-group %s", name, cmp.Or(quoted(p.env("WEBSITE_RESOURCE_GROUP"), ""), lookUp))
}

// set returns the command that changes a setting.
func (p Place) set(name, value string) string {
	if !p.inAzure() {
		return fmt.Sprintf("export %s=%s", name, value)
	}
	return fmt.Sprintf("az functionapp config appsettings set %s --settings %s=%s", p.app(), name, value)
}
