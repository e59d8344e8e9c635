package bus

// Error conditions, as the service and the specification name them.
const (
	condNotFound         = "amqp:not-found"
	condNotAllowed       = "amqp:not-allowed"
	condUnauthorized     = "amqp:unauthorized-access"
	condDecode           = "amqp:decode-error"
	condConnectionForced = "amqp:connection:forced"
	condDetachForced     = "amqp:link:detach-forced"
	condMessageSize      = "amqp:link:message-size-exceeded"
	condTimeout          = "com.microsoft:timeout"
	condMessageLockLost  = "com.microsoft:message-lock-lost"
	condSessionLockLost  = "com.microsoft:session-lock-lost"
	condSessionLocked    = "com.microsoft:session-cannot-be-locked"
)

// refusal is why something is not done: an AMQP error. Nil means success.
type refusal struct{ condition, text string }

// value returns the AMQP error; null for nil.
func (r *refusal) value() any {
	if r == nil {
		return nil
	}
	return described{uint64(codeError), []any{symbol(r.condition), r.text}}
}

// outcome returns the delivery state that answers a transfer or a settlement.
func (r *refusal) outcome() described {
	if r == nil {
		return described{uint64(codeAccepted), []any{}}
	}
	return described{uint64(codeRejected), []any{r.value()}}
}
