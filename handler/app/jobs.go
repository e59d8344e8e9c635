package app

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"keyless/handler/fault"
	"keyless/handler/host"
	"keyless/handler/jobs"
)

const (
	// jobBinding is the name of run-job's trigger in its function.json.
	jobBinding = "msg"
	// maxDeliveries is the queue's MaxDeliveryCount, Azure's default.
	maxDeliveries = 10
)

// jobRequest is the body of POST /api/jobs.
type jobRequest struct {
	Code           string `json:"code"`
	Message        string `json:"message"`
	ConversationID string `json:"conversation_id"`
	TimeoutSeconds int    `json:"timeout_seconds"`
	MaxAttempts    int    `json:"max_attempts"`
}

func (a *App) submitJob(c *call) error {
	if c.r.PathValue("id") != "" {
		return notAllowed(c, []string{"DELETE", "GET"})
	}
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	var body jobRequest
	if err := decodeJSON(c.w, c.r, &body); err != nil {
		return err
	}
	return a.submit(c, jobs.Request{Owner: owner, ConversationID: body.ConversationID, Code: body.Code, Message: body.Message,
		TimeoutSeconds: body.TimeoutSeconds, MaxAttempts: body.MaxAttempts})
}

// submit queues a job and answers with it, and with where to ask for it.
func (a *App) submit(c *call, r jobs.Request) error {
	if err := a.haveQueue(); err != nil {
		return err
	}
	r.IdempotencyKey = c.r.Header.Get("Idempotency-Key")
	job, err := a.jobs.Submit(c.ctx(), r)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/api/jobs/"+job.ID)
	return c.json(http.StatusAccepted, job)
}

// getJobs serves one job, or a page of the caller's jobs.
func (a *App) getJobs(c *call) error {
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	if err := a.haveQueue(); err != nil {
		return err
	}
	if id := c.r.PathValue("id"); id != "" {
		wait, err := c.number("wait", 0, int(jobs.MaxWait.Seconds()))
		if err != nil {
			return err
		}
		job, err := a.jobs.Get(c.ctx(), owner, id, time.Duration(wait)*time.Second)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, job)
	}
	limit, err := c.number("limit", 20, 100)
	if err != nil {
		return err
	}
	page, err := a.jobs.List(c.ctx(), owner, c.r.URL.Query().Get("cursor"), limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page)
}

func (a *App) cancelJob(c *call) error {
	if c.r.PathValue("id") == "" {
		return notAllowed(c, []string{"GET", "POST"})
	}
	owner, err := a.owner(c.r)
	if err != nil {
		return err
	}
	if err := a.haveQueue(); err != nil {
		return err
	}
	job, err := a.jobs.Cancel(c.ctx(), owner, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, job)
}

// runJob serves what the host posts for a message of the queue. Any error makes
// the host give the message back to the queue, which delivers it again and in
// the end puts it aside as a dead letter; so a message that is no job is kept
// as evidence.
func (a *App) runJob(c *call) error {
	if err := a.haveQueue(); err != nil {
		return err
	}
	envelope, err := host.DecodeEnvelope(c.r.Body)
	if err != nil {
		return fault.New(fault.Invalid, "envelope_invalid", "The request is not an invocation by the host.").Because(err)
	}
	body, err := envelope.Message(jobBinding)
	if err != nil {
		return fault.New(fault.Invalid, "envelope_invalid", "The invocation has no message.").Because(err)
	}
	deliveries, _ := envelope.Int("DeliveryCount") // 0 where it is not to be had: then nothing is known to be the last
	c.note(slog.Int64("delivery", deliveries))
	err = a.jobs.Work(c.ctx(), body, deliveries >= maxDeliveries)
	if errors.Is(err, jobs.ErrPoison) {
		return fault.New(fault.Internal, "message_not_a_job", "The queue holds a message that is no job.").Because(err)
	}
	if err != nil {
		return err
	}
	host.WriteDone(c.w)
	return nil
}

func (a *App) haveQueue() error {
	if a.jobs == nil {
		return fault.New(fault.Misconfigured, "jobs_not_configured",
			"This app has no queue for jobs. Set ServiceBusConnection__fullyQualifiedNamespace and JOBS_QUEUE.")
	}
	return nil
}
