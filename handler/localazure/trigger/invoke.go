package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// hostVersion is the version that the pump says it is.
const hostVersion = "4.1037.0"

// errTimeout is the cause of a call that took longer than the function may.
var errTimeout = errors.New("the function timed out")

// invoke has the handler handle m. It returns nil if the host would take it
// for done.
func (p *Pump) invoke(ctx context.Context, m *azservicebus.ReceivedMessage) error {
	body, err := p.envelope(m, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.FunctionTimeout, errTimeout)
	defer cancel()
	response, err := p.post(ctx, m, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return judge(ctx, response)
}

// post sends the envelope. Like the host's, its length is not told ahead.
func (p *Pump) post(ctx context.Context, m *azservicebus.ReceivedMessage, body []byte) (*http.Response, error) {
	address := strings.TrimSuffix(p.cfg.Handler, "/") + "/" + p.cfg.Function
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, struct{ io.Reader }{bytes.NewReader(body)})
	if err != nil {
		return nil, fmt.Errorf("call the handler: %w", err)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("X-Azure-Functions-HostVersion", hostVersion)
	request.Header.Set("X-Azure-Functions-InvocationId", newGUID())
	request.Header.Set("User-Agent", "Azure-Functions-Host/"+hostVersion)
	if parent, ok := m.ApplicationProperties["traceparent"].(string); ok {
		request.Header.Set("Traceparent", parent)
	}
	response, err := p.cfg.Client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call the handler: %w", errors.Join(context.Cause(ctx), err))
	}
	return response, nil
}

// judge says what the host makes of an answer. It wants a JSON object with
// status 2xx, whatever is in the object. An empty answer, or null, is no answer
// to it, and it waits on until the function's time-out.
func judge(ctx context.Context, response *http.Response) error {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("read the handler's answer: %w", errors.Join(context.Cause(ctx), err))
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the handler answered HTTP %d", response.StatusCode)
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || string(body) == "null" {
		<-ctx.Done()
		return fmt.Errorf("the handler answered nothing: %w", context.Cause(ctx))
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/json" && media != "text/json" {
		return fmt.Errorf("the handler answered with media type %q, not JSON", media)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return fmt.Errorf("the handler's answer is no JSON object: %w", err)
	}
	return nil
}
