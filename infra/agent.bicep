// The system in one resource group; main.bicep says what the parameters mean.
// The order follows from who needs whose outputs: the services, the function
// app, and then the roles of its identity, which exists only with the app.
// Publishing comes after all of it.

@description('Ends the names of the resources; some must be unique in all of Azure.')
@minLength(5)
@maxLength(13)
param suffix string = uniqueString(resourceGroup().id)

param location string = resourceGroup().location
param tags object = {}
param modelName string = 'gpt-5-mini'
param modelVersion string = '2025-08-07'
param modelCapacity int = 100

@allowed(['Cognitive Services OpenAI User', 'Cognitive Services User'])
param openAiRole string = 'Cognitive Services User'

param signInClientId string = ''
param developerPrincipalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
param developerPrincipalType string = 'User'

param agentSettings object = {}

var sessionPoolAudience = 'https://dynamicsessions.io/.default'

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    workspaceName: 'agent-logs-${suffix}'
    insightsName: 'agent-insights-${suffix}'
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'agentst${suffix}'
    location: location
    tags: tags
  }
}

module openAi 'modules/openai.bicep' = {
  name: 'openai'
  params: {
    name: 'agent-openai-${suffix}'
    location: location
    tags: tags
    modelName: modelName
    modelVersion: modelVersion
    modelCapacity: modelCapacity
  }
}

module sessions 'modules/sessions.bicep' = {
  name: 'sessions'
  params: {
    name: 'agent-sessions-${suffix}'
    location: location
    tags: tags
  }
}

module bus 'modules/bus.bicep' = {
  name: 'bus'
  params: {
    name: 'agent-bus-${suffix}'
    location: location
    tags: tags
  }
}

module functionApp 'modules/function.bicep' = {
  name: 'function'
  params: {
    name: 'agent-func-${suffix}'
    planName: 'agent-plan-${suffix}'
    location: location
    tags: tags
    deploymentContainerUrl: storage.outputs.deploymentContainerUrl
    signInClientId: signInClientId
    // The names on the left are what the code and the host read. A name in
    // agentSettings cannot replace one of them.
    settings: union(agentSettings, {
      AZURE_OPENAI_ENDPOINT: openAi.outputs.endpoint
      AZURE_OPENAI_DEPLOYMENT: openAi.outputs.deployment
      AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT: sessions.outputs.endpoint
      SESSION_POOL_AUDIENCE: sessionPoolAudience
      ServiceBusConnection__fullyQualifiedNamespace: bus.outputs.host
      JOBS_QUEUE: bus.outputs.queue
      AzureWebJobsStorage__accountName: storage.outputs.name
      // No walk along the chain of credentials: in Azure there is one.
      AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential'
      // Says where, not who: the component takes Entra tokens alone.
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD'
    })
  }
}

module appRoles 'modules/roles.bicep' = {
  name: 'roles-app'
  params: {
    principalId: functionApp.outputs.principalId
    principalType: 'ServicePrincipal'
    openAiRole: openAiRole
    openAiName: openAi.outputs.name
    sessionPoolName: sessions.outputs.name
    busName: bus.outputs.name
    queueName: bus.outputs.queue
    storageName: storage.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

module developerRoles 'modules/roles.bicep' = if (!empty(developerPrincipalId)) {
  name: 'roles-developer'
  params: {
    principalId: developerPrincipalId
    principalType: developerPrincipalType
    openAiRole: openAiRole
    openAiName: openAi.outputs.name
    sessionPoolName: sessions.outputs.name
    busName: bus.outputs.name
    queueName: bus.outputs.queue
    storageName: storage.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

output AZURE_OPENAI_ENDPOINT string = openAi.outputs.endpoint
output AZURE_OPENAI_DEPLOYMENT string = openAi.outputs.deployment
output AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT string = sessions.outputs.endpoint
output SESSION_POOL_AUDIENCE string = sessionPoolAudience
output AGENT_STORAGE_BLOB_ENDPOINT string = storage.outputs.blobEndpoint
output ServiceBusConnection__fullyQualifiedNamespace string = bus.outputs.host
output JOBS_QUEUE string = bus.outputs.queue
output AGENT_FUNCTION_APP string = functionApp.outputs.name
output AGENT_URL string = functionApp.outputs.url
