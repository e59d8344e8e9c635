// Package identity gets the tokens with which this program speaks to Azure; it
// holds no secret of its own.
//
// [NewCredential] gives the process's one credential: azidentity's
// DefaultAzureCredential, which in Azure asks the app's managed identity and
// nothing else. [Source] stands in front of it and is what every client uses:
// it keeps one token an audience, renews it ahead of its end, and lets any
// number of callers share one request. Both say what went wrong as a
// [keyless/handler/fault.Error] with one of four codes:
//
//	identity_missing      there is no identity, or not the one that was asked for (Misconfigured)
//	identity_denied       the identity endpoint or Entra ID refused us (Denied)
//	identity_throttled    too many requests for tokens (Throttled)
//	identity_unavailable  no usable answer for now (Unavailable)
//
// Tokens are never logged.
package identity
