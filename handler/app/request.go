package app

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"

	"keyless/handler/fault"
)

// maxBody bounds a JSON request body, in bytes.
const maxBody = 1 << 20

// decodeJSON reads the body of r into v. Anything but one JSON object of known
// fields is an error that says what is wrong and where. The check of the
// content type also keeps web pages from posting without a preflight.
func decodeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.Unsupported, "content_type_unsupported",
			"Send the body as JSON, with the header Content-Type: application/json.")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return explainJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "body_not_json", "There is something after the JSON object (at byte %d). Send one object.", decoder.InputOffset())
	}
	return nil
}

// explainJSON says why a body could not be decoded.
func explainJSON(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "body_too_large", "The body is larger than %d bytes.", maxBody)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return fault.New(fault.Invalid, "body_not_json", "The body is a JSON %s. Send an object.", e.Value)
		}
		return fault.New(fault.Invalid, "field_type", "The field `%s` is a JSON %s; it must be a %s.", e.Field, e.Value, e.Type)
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fault.New(fault.Invalid, "body_not_json", "The body is not JSON (at byte %d).", e.Offset).Because(err)
	}
	switch {
	case errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "body_empty", "The body is empty. Send a JSON object. (A chunked body does not pass older hosts; send a Content-Length.)")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.Invalid, "body_not_json", "The body breaks off in the middle of the JSON.").Because(err)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return fault.New(fault.Canceled, "body_unreadable", "The body could not be read to its end.").Because(err)
	}
	// Only an unknown field is left, for which there is no error type.
	return fault.New(fault.Invalid, "field_unknown", "The body has an %s.", strings.TrimPrefix(err.Error(), "json: "))
}

// owner returns who the caller is: the principal that App Service
// Authentication found or, where it is off, whoever holds the function key.
func (a *App) owner(r *http.Request) (string, error) {
	if !a.config.TrustPrincipal {
		return "key", nil
	}
	id := r.Header.Get("X-Ms-Client-Principal-Id")
	if id == "" {
		return "", fault.New(fault.Unauthenticated, "not_signed_in", "Sign in: this app takes its callers from App Service Authentication, and this request has no principal.")
	}
	return "principal " + r.Header.Get("X-Ms-Client-Principal-Idp") + " " + id, nil
}
