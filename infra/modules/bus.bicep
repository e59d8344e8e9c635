// The queue of jobs. Sessions and duplicate detection need the Standard tier.

param name string
param location string
param tags object

resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: 'Standard', tier: 'Standard' }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = {
  parent: bus
  name: 'jobs'
  properties: {
    // A session is a conversation: its jobs run in order, one at a time.
    requiresSession: true
    // A job that is submitted again in this time is the same message.
    requiresDuplicateDetection: true
    duplicateDetectionHistoryTimeWindow: 'PT10M'
    // The host renews it while the job runs, as long as host.json says.
    lockDuration: 'PT1M'
    // maxDeliveries in handler/app/jobs.go.
    maxDeliveryCount: 10
    // As long as a job's record is kept; what has expired can still be looked at.
    defaultMessageTimeToLive: 'P7D'
    deadLetteringOnMessageExpiration: true
  }
}

output name string = bus.name
output queue string = queue.name
output host string = '${bus.name}.servicebus.windows.net'
