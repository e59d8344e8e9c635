package infra

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// must tells what each type of resource has to say, so that nothing can be
// reached with a key, without encryption, or by anybody. A type that is not
// here is refused: whoever adds one finds out first how its keys are turned off.
var must = map[string]map[string]string{
	"Microsoft.CognitiveServices/accounts": {
		"properties.disableLocalAuth": "true", "properties.customSubDomainName": "name"},
	"Microsoft.ServiceBus/namespaces": {
		"properties.disableLocalAuth": "true", "properties.minimumTlsVersion": "'1.2'", "sku.name": "'Standard'"},
	"Microsoft.Storage/storageAccounts": {
		"properties.allowSharedKeyAccess": "false", "properties.allowBlobPublicAccess": "false",
		"properties.supportsHttpsTrafficOnly": "true", "properties.minimumTlsVersion": "'TLS1_2'"},
	"Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "'None'"},
	"Microsoft.Insights/components":                             {"properties.DisableLocalAuth": "true"},
	"Microsoft.OperationalInsights/workspaces":                  {"properties.features.disableLocalAuth": "true"},
	"Microsoft.App/sessionPools": {
		"properties.sessionNetworkConfiguration.status": "'EgressDisabled'", "properties.containerType": "'PythonLTS'", "properties.poolManagementType": "'Dynamic'",
		"properties.dynamicPoolConfiguration.lifecycleConfiguration.lifecycleType": "'Timed'"},
	"Microsoft.Web/sites": {
		"identity.type": "'SystemAssigned'", "properties.httpsOnly": "true",
		"properties.siteConfig.minTlsVersion": "'1.2'", "properties.siteConfig.scmMinTlsVersion": "'1.2'", "properties.siteConfig.ftpsState": "'Disabled'",
		"properties.functionAppConfig.runtime.name": "'custom'", "properties.functionAppConfig.runtime.version": "'1.0'",
		"properties.functionAppConfig.deployment.storage.authentication.type": "'SystemAssignedIdentity'"},
	"Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": "false"},
	"Microsoft.Web/serverfarms":                              {"sku.name": "'FC1'", "sku.tier": "'FlexConsumption'", "properties.reserved": "true"},
	"Microsoft.Authorization/roleAssignments":                {"properties.principalId": "principalId", "properties.principalType": "principalType"},

	// These hold no data and have no keys of their own.
	"Microsoft.CognitiveServices/accounts/deployments":     {},
	"Microsoft.Resources/resourceGroups":                   {},
	"Microsoft.ServiceBus/namespaces/queues":               {},
	"Microsoft.Storage/storageAccounts/blobServices":       {},
	"Microsoft.Storage/storageAccounts/managementPolicies": {},
	"Microsoft.Web/sites/config":                           {},
}

func TestNoResourceTakesAKey(t *testing.T) {
	seen := map[string]bool{}
	for path, file := range open(t) {
		for _, d := range file.declarations {
			if d.kind != "resource" || d.existing {
				continue
			}
			kind, _, _ := strings.Cut(d.of, "@")
			seen[kind] = true
			rules, known := must[kind]
			if !known {
				t.Errorf("infra/%s: no rule says how %s (%s) refuses keys", path, d.name, kind)
			}
			for property, want := range rules {
				if got := at(d.value, property); got != want {
					t.Errorf("infra/%s: %s has %s %v, want %s", path, d.name, property, got, want)
				}
			}
		}
	}
	for kind := range maps.Keys(must) {
		if !seen[kind] {
			t.Errorf("there is no %s", kind)
		}
	}
}

// There are two ways to publish with a password, and both are closed.
func TestNoPublishingCredentials(t *testing.T) {
	function := open(t)["modules/function.bicep"]
	for _, name := range []string{"ftp", "scm"} {
		if policy := function.get(t, "resource", name).value; at(policy, "name") != "'"+name+"'" || at(policy, "parent") != "app" {
			t.Errorf("the policy %s is for %v of %v", name, at(policy, "name"), at(policy, "parent"))
		}
	}
}

// secret is what a secret would come in by: a secure parameter, a function that
// fetches keys, a connection string, a vault, a client secret.
var secret = regexp.MustCompile(`(?i)@secure|securestring|secureobject|\blist[a-z]+\(|\.list[a-z]+\(|getsecret|keyvault|` +
	`accountkey|sharedaccess(?:key|signature)|primarykey|password|clientsecret|instrumentationkey|param \w*(?:secret|key|sas)\b`)

func TestNoSecret(t *testing.T) {
	for _, path := range append(files(t), "../azure.yaml") {
		text, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		source := string(text)
		if filepath.Ext(path) == ".bicep" {
			source = uncommented(source)
		}
		if found := secret.FindString(source); found != "" {
			t.Errorf("infra/%s has %q", path, found)
		}
	}
	for _, one := range []string{"@secure()", "account.listKeys().key1", "listKeys(a.id, '1')", "listAccountSas(x)", "';AccountKey=${k}'", "SharedAccessKeyName=",
		"kv.getSecret('x')", "param openAiKey string", "clientSecretSettingName: 'X'"} {
		if !secret.MatchString(one) {
			t.Errorf("%q would not be found", one)
		}
	}
}

var resourceType = regexp.MustCompile(`^Microsoft\.[A-Za-z]+(/[A-Za-z]+)+@20\d\d-\d\d-\d\d$`)

// Every resource names a released version of its API, and the same one in every
// file.
func TestVersions(t *testing.T) {
	versions := map[string]string{}
	for path, file := range open(t) {
		for _, d := range file.declarations {
			if d.kind != "resource" {
				continue
			}
			if !resourceType.MatchString(d.of) {
				t.Errorf("infra/%s: %s is %q, which is no type with a released version", path, d.name, d.of)
			}
			kind, version, _ := strings.Cut(d.of, "@")
			if other := versions[kind]; other != "" && other != version {
				t.Errorf("%s has versions %s and %s", kind, other, version)
			}
			versions[kind] = version
		}
	}
}

// roles are the built-in roles that the templates know, by their ids
// (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
var roles = object{
	"Cognitive Services OpenAI User":       "'5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'",
	"Cognitive Services User":              "'a97b65f3-24c7-4388-baec-2e87135dc908'",
	"Azure ContainerApps Session Executor": "'0fb8eba5-a2bb-4abe-b1c1-49dfad359bb0'",
	"Azure Service Bus Data Sender":        "'69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'",
	"Azure Service Bus Data Receiver":      "'4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'",
	"Storage Blob Data Owner":              "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
	"Storage Table Data Contributor":       "'0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'",
	"Monitoring Metrics Publisher":         "'3913510d-42f4-4e42-8a64-420c390055eb'",
}

// assignments are the roles of a principal, each at the one resource.
var assignments = []string{
	"insights: 'Monitoring Metrics Publisher'",
	"openAi: openAiRole",
	"queue: 'Azure Service Bus Data Receiver'",
	"queue: 'Azure Service Bus Data Sender'",
	"sessionPool: 'Azure ContainerApps Session Executor'",
	"storage: 'Storage Blob Data Owner'",
	"storage: 'Storage Table Data Contributor'",
}

// A principal has these roles and no others. What an assignment is called says
// all that it is, so that it is made once; it is at a resource, never at a group.
func TestRoles(t *testing.T) {
	templates := open(t)
	file := templates["modules/roles.bicep"]
	if got := file.get(t, "var", "roleIds").value.(object); !maps.Equal(got, roles) {
		t.Errorf("the ids of roles are %v", got)
	}
	var got []string
	for path, other := range templates {
		for _, d := range other.declarations {
			if !strings.HasPrefix(d.of, "Microsoft.Authorization/") {
				continue
			}
			if path != file.path {
				t.Errorf("infra/%s assigns a role by itself", path)
			}
			scope, _ := at(d.value, "scope").(string)
			id, _ := at(d.value, "properties.roleDefinitionId").(string)
			role, _ := strings.CutPrefix(id, "subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ")
			role = strings.TrimSuffix(role, ")")
			if want := "guid(" + scope + ".id, principalId, " + role + ")"; at(d.value, "name") != want {
				t.Errorf("the assignment %s is called %v, want %s", d.name, at(d.value, "name"), want)
			}
			if !file.get(t, "resource", scope).existing {
				t.Errorf("the assignment %s is at %s", d.name, scope)
			}
			got = append(got, scope+": "+strings.TrimSuffix(strings.TrimPrefix(role, "roleIds["), "]"))
		}
	}
	if slices.Sort(got); !slices.Equal(got, assignments) {
		t.Errorf("the roles are %q", got)
	}
}

// The app's identity is a service principal, said so because the directory may
// not know it yet; and it starts with the narrower role.
func TestPrincipals(t *testing.T) {
	templates := open(t)
	agent := templates["agent.bicep"]
	app := at(agent.get(t, "module", "appRoles").value, "params")
	if at(app, "principalId") != "functionApp.outputs.principalId" || at(app, "principalType") != "'ServicePrincipal'" {
		t.Errorf("the app's roles are for %v", app)
	}
	developer := agent.get(t, "module", "developerRoles")
	if !strings.HasPrefix(developer.text, "= if (!empty(developerPrincipalId))") {
		t.Error("a developer has roles whether asked for or not")
	}
	for _, path := range []string{"main.bicep", "agent.bicep"} {
		if role := templates[path].get(t, "param", "openAiRole").value; role != "'Cognitive Services User'" {
			t.Errorf("in infra/%s the role at Azure OpenAI is %v", path, role)
		}
		if id := templates[path].get(t, "param", "developerPrincipalId").value; id != "''" {
			t.Errorf("in infra/%s the developer is %v", path, id)
		}
	}
}
