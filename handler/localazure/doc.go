// Package localazure holds loopback stand-ins for what Azure gives the agent:
// the App Service identity endpoint, Azure OpenAI and a session pool. The real
// clients talk to them over the real wire formats, so that a local run and the
// tests take the same path as a deployment; only what stands at the other end
// of the wire differs. Each stand-in refuses a token for another audience and
// can be told to fail ([Faults]).
//
// Nothing that is deployed imports this package.
package localazure
