// The session pool, where the model's Python runs: one session a conversation,
// with no way out to a network. It has no key; a token of its own audience is
// the only way in.

param name string
param location string
param tags object

@description('Sessions at one time; a request beyond them is refused. At most 600.')
@minValue(1)
@maxValue(600)
param maxSessions int = 100

@description('Seconds after the last call for which a session keeps its variables and files; it costs that long.')
@minValue(300)
@maxValue(3600)
param cooldownSeconds int = 1800

resource pool 'Microsoft.App/sessionPools@2025-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    poolManagementType: 'Dynamic'
    containerType: 'PythonLTS'
    scaleConfiguration: { maxConcurrentSessions: maxSessions }
    dynamicPoolConfiguration: {
      lifecycleConfiguration: { lifecycleType: 'Timed', cooldownPeriodInSeconds: cooldownSeconds }
    }
    sessionNetworkConfiguration: { status: 'EgressDisabled' }
  }
}

output name string = pool.name
// Taken whole: its host name and path have changed before.
output endpoint string = pool.properties.poolManagementEndpoint
