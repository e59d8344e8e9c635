package localazure

import (
	"encoding/json"
	"net/http"
	"strings"
)

// poolError is an error as the pool answers it.
type poolError struct {
	status                int
	code, message, target string
}

// poolFault is an error of which nothing but the status is known. A 401 has no
// body.
func poolFault(status int) *poolError {
	return &poolError{status: status, code: strings.ReplaceAll(http.StatusText(status), " ", "")}
}

func poolInvalid(target, message string) *poolError {
	return &poolError{http.StatusBadRequest, "SessionRequestValidationFailed", message, target}
}

func poolUnsupported(target, message string) *poolError {
	return &poolError{http.StatusBadRequest, "SessionRequestNotSupported", message, target}
}

// poolOtherShape is for a body of another api-version, or for another kind of
// pool.
func poolOtherShape() *poolError {
	return &poolError{http.StatusBadRequest, "SessionPropertiesMissing", "The request's body lacks the execution's properties.", "properties"}
}

func poolGone() *poolError {
	return &poolError{http.StatusBadRequest, "SessionWithIdentifierNotFound", "There is no session with this identifier.", "identifier"}
}

// poolFull is for a call that needs a session when none is left. The code is
// made up.
func poolFull(status int) *poolError {
	return &poolError{status, "SessionAllocationFailed", "No more sessions can be allocated in the pool.", ""}
}

// poolBroken is for trouble with the stand-in itself.
func poolBroken(err error) *poolError {
	return &poolError{http.StatusInternalServerError, "InternalServerError", err.Error(), ""}
}

func (e poolError) body() string {
	if e.status == http.StatusUnauthorized {
		return ""
	}
	fields := map[string]string{"code": e.code, "message": e.message, "traceId": newGUID()}
	if e.target != "" {
		fields["target"] = e.target
	}
	text, _ := json.Marshal(map[string]any{"error": fields}) // strings always have a JSON form
	return string(text)
}

func (e poolError) write(w http.ResponseWriter) {
	body := e.body()
	if body != "" {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("x-ms-error-code", e.code)
	}
	w.WriteHeader(e.status)
	_, _ = w.Write([]byte(body))
}
