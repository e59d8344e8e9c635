// The whole system in a resource group of its own, without a secret: no key,
// no connection string with one, no secure parameter. Deploying it again
// changes nothing.
//
//   azd up
//   az deployment sub create --location <region> --template-file infra/main.bicep \
//     --parameters environmentName=<name> location=<region>
//
// agent.bicep alone is for those who may deploy to one resource group only.
targetScope = 'subscription'

@description('Names the resource group and, by a hash, all in it.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('The region of everything. It must offer Flex Consumption, session pools and the model.')
param location string

@description('The model behind the deployment. The agent needs the Responses API, with reasoning.')
param modelName string = 'gpt-5-mini'

param modelVersion string = '2025-08-07'

@description('Thousands of tokens a minute, within the quota of the subscription.')
param modelCapacity int = 100

@description('What the app may do at Azure OpenAI. The first is enough for this app; the second, the default, opens the other Azure AI services of the account too.')
@allowed(['Cognitive Services OpenAI User', 'Cognitive Services User'])
param openAiRole string = 'Cognitive Services User'

@description('The client id of an app registration: callers must then sign in with Microsoft Entra ID. Empty: function keys alone.')
param signInClientId string = ''

@description('The object id of who may use the same services from a laptop. Empty: nobody.')
param developerPrincipalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
param developerPrincipalType string = 'User'

@description('More app settings, from the list in the README (AGENT_MAX_STEPS, ...). A deployment drops those that were set by hand.')
param agentSettings object = {}

var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module agent 'agent.bicep' = {
  name: 'agent'
  scope: group
  params: {
    suffix: uniqueString(subscription().id, environmentName, location)
    location: location
    tags: tags
    modelName: modelName
    modelVersion: modelVersion
    modelCapacity: modelCapacity
    openAiRole: openAiRole
    signInClientId: signInClientId
    developerPrincipalId: developerPrincipalId
    developerPrincipalType: developerPrincipalType
    agentSettings: agentSettings
  }
}

// The outputs are called like the settings, so that `azd env get-values` is a
// .env for a run on a laptop.
output AZURE_OPENAI_ENDPOINT string = agent.outputs.AZURE_OPENAI_ENDPOINT
output AZURE_OPENAI_DEPLOYMENT string = agent.outputs.AZURE_OPENAI_DEPLOYMENT
output AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT string = agent.outputs.AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT
output SESSION_POOL_AUDIENCE string = agent.outputs.SESSION_POOL_AUDIENCE
output AGENT_STORAGE_BLOB_ENDPOINT string = agent.outputs.AGENT_STORAGE_BLOB_ENDPOINT
output ServiceBusConnection__fullyQualifiedNamespace string = agent.outputs.ServiceBusConnection__fullyQualifiedNamespace
output JOBS_QUEUE string = agent.outputs.JOBS_QUEUE

// For az and func.
output AZURE_RESOURCE_GROUP string = group.name
output AGENT_FUNCTION_APP string = agent.outputs.AGENT_FUNCTION_APP
output AGENT_URL string = agent.outputs.AGENT_URL
