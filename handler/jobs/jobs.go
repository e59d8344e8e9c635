// Package jobs is the use case of queued work: Python, or a message for a whole
// turn of the agent, that a caller submits, that Service Bus carries to some
// instance, and whose outcome the caller polls for.
//
// Submit sends the job and records it; [Service.Work] is called with what the
// queue delivers and is the only place that decides whether to try again. The
// message holds the whole job, so that a job that the queue has accepted is
// never lost, wherever a process dies; the record, once there, is what counts.
// A job runs as a turn of its conversation (package conversation), under that
// conversation's lock, so that jobs and chat turns of one conversation exclude
// each other on whatever instances they are.
package jobs

import (
	"context"
	"log/slog"
	"time"

	"keyless/handler/agent"
	"keyless/handler/conversation"
)

// Bounds of a job.
const (
	MaxCode      = 64 << 10          // bytes of code
	MaxLimit     = 220 * time.Second // a session pool ends a run then
	DefaultLimit = MaxLimit
	MaxAttempts  = 5 // below the queue's MaxDeliveryCount, so that we record the failure before it dead-letters
	MaxWait      = 60 * time.Second
	retention    = 7 * 24 * time.Hour // after the job was submitted
)

// State is where a job is on its way.
type State string

const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded" // ran to an outcome; code that raised is one too
	Failed    State = "failed"    // has no outcome, and is not tried again
	Canceled  State = "canceled"
)

// Final reports whether the job has ended.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Job is a job as its owner sees it.
type Job struct {
	ID             string `json:"job_id"`
	ConversationID string `json:"conversation_id"`
	State          State  `json:"state"`
	Code           string `json:"code,omitempty"`
	Message        string `json:"message,omitempty"`
	TimeoutSeconds int    `json:"timeout_seconds,omitempty"` // for Code
	Attempts       int    `json:"attempts"`
	MaxAttempts    int    `json:"max_attempts"`

	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero"` // of the last attempt
	FinishedAt time.Time `json:"finished_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at"` // from then on there is no such job

	CancelRequested bool `json:"cancel_requested,omitempty"`
	// Steps are those so far, while the job runs.
	Steps []agent.Step `json:"steps,omitempty"`
	// Result is the turn that the job was.
	Result *conversation.Reply `json:"result,omitempty"`
	// Error says why there is no result yet, or none that is good.
	Error *Error `json:"error,omitempty"`
}

// Error says what went wrong with a job, and at whose door it lies.
type Error struct {
	Fault  Fault  `json:"fault"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// Fault is whose an error is.
type Fault string

const (
	OfCode     Fault = "code"     // the code raised, or ran out of time or memory
	OfCaller   Fault = "caller"   // what was asked cannot be done
	OfPlatform Fault = "platform" // a service failed or refused us
)

// Turns runs the turns of conversations; *[conversation.Service] does.
type Turns interface {
	Create(ctx context.Context, owner string) (id string, err error)
	Get(ctx context.Context, owner, id string, before, limit int) (conversation.Conversation, error)
	Answer(ctx context.Context, q conversation.Question, on func(conversation.Event)) (conversation.Reply, error)
	Interrupt(ctx context.Context, owner, id string) error
}

var _ Turns = (*conversation.Service)(nil)

// Store keeps the jobs' records. Package store holds the real ones, and says
// what the methods promise.
type Store interface {
	Create(ctx context.Context, key string, data []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	Edit(ctx context.Context, key string, fn func(data []byte) ([]byte, error)) error
	List(ctx context.Context, folder, cursor string, limit int) (keys []string, next string, err error)
}

// Sender sends to the queue. Messages of one session are delivered in order,
// one at a time; of two with one id only the first is kept.
type Sender interface {
	Send(ctx context.Context, id, session string, body []byte) error
}

// Service serves jobs. It is safe for concurrent use, by any number of
// instances on the same store and queue.
type Service struct {
	Store  Store
	Sender Sender
	Turns  Turns
	// TurnTime bounds an attempt at a message's turn. It has to end well
	// before the queue's lock renewal does.
	TurnTime time.Duration
	Now      func() time.Time
	// Log hears of attempts that failed, whole: the job's record tells its
	// owner only what is safe to show.
	Log *slog.Logger
}
