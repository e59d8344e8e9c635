package interpreter

import (
	"errors"

	"keyless/handler/agent"
	"keyless/handler/fault"
	"keyless/handler/sessions"
)

// explain classifies a session pool's error: the one place where that is done.
// An error of the credential comes through as it is, already classified, and
// so does the context's.
func explain(err error) error {
	e, ok := errors.AsType[*sessions.Error](err)
	if !ok {
		return err
	}
	if errors.Is(err, sessions.ErrTooLarge) {
		return &agent.ArgumentError{Problem: "the code is larger than the session pool takes"}
	}
	f := classify(err)
	f.RetryAfter, f.UpstreamID = e.RetryAfter, e.TraceID
	return f.Because(err)
}

const giveRole = `Give the app's identity the role "Azure ContainerApps Session Executor" on the pool; a new role takes some minutes to act.`

// classify goes from the particular to the general: a full pool is a kind of
// not found.
func classify(err error) *fault.Error {
	for _, class := range []struct {
		is      error
		kind    fault.Kind
		code    string
		message string
	}{
		{sessions.ErrUnauthorized, fault.Denied, "pool_unauthorized", "The session pool did not accept this app's token. Check SESSION_POOL_AUDIENCE. " + giveRole},
		{sessions.ErrForbidden, fault.Denied, "pool_forbidden", "This app may not run code in the session pool. " + giveRole},
		{sessions.ErrPoolFull, fault.Throttled, "pool_full", "The session pool gave no session: it has reached its maximum of concurrent sessions, or there is no pool at AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT. Try again in a minute; if it stays so, raise the maximum or check the setting."},
		{sessions.ErrThrottled, fault.Throttled, "pool_throttled", "The session pool takes no more requests for now. Try again later."},
		{sessions.ErrNotFound, fault.Misconfigured, "pool_not_found", notPool},
		{sessions.ErrRedirected, fault.Misconfigured, "pool_not_found", notPool},
		{sessions.ErrProtocol, fault.Misconfigured, "pool_not_found", notPool},
		{sessions.ErrUnavailable, fault.Unavailable, "pool_unavailable", "The session pool cannot be reached, or failed. Try again in a moment."},
	} {
		if errors.Is(err, class.is) {
			return fault.New(class.kind, class.code, "%s", class.message)
		}
	}
	return fault.New(fault.Internal, "pool_refused", "The session pool refused a request of ours. The operator can find it in the log by this request's id.")
}

const notPool = "What answers at AZURE_CONTAINER_APPS_SESSION_POOL_ENDPOINT is no session pool. Take the pool's management endpoint as a whole: az containerapp sessionpool show --name <pool> --resource-group <group> --query properties.poolManagementEndpoint."
