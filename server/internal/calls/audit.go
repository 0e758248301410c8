package calls

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Audit writes a line of JSON for each call: who did what to which target, with what
// outcome, and no contents. Each line is one Write. The first failure in a row is logged.
// It is safe for concurrent use.
type Audit struct {
	w      io.Writer
	logger *slog.Logger
	failed atomic.Bool

	mu   sync.Mutex
	torn bool // the last line was written in part
}

// NewAudit returns an Audit that writes to w.
func NewAudit(w io.Writer, logger *slog.Logger) *Audit { return &Audit{w: w, logger: logger} }

// For returns an observer of the calls of a bot, which lines name unless the name is empty.
func (a *Audit) For(bot string) Observer { return &audited{a, bot} }

type audited struct {
	*Audit
	bot string
}

// write writes a line, on a line of its own whatever became of the one before.
func (a *Audit) write(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.torn {
		line = append([]byte{'\n'}, line...)
	}
	line = append(line, '\n')
	n, err := a.w.Write(line)
	if n > 0 || err == nil {
		a.torn = n < len(line)
	}
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	return err
}

// record is a line. Ids are strings, because readers take numbers of JSON for
// floating-point ones.
type record struct {
	Time      time.Time `json:"time"` // of the call's end
	Bot       string    `json:"bot,omitempty"`
	Client    string    `json:"client,omitempty"`
	Peer      string    `json:"peer"`
	Method    string    `json:"method"`
	Protocol  string    `json:"protocol"`
	Target    string    `json:"target,omitempty"`
	ID        string    `json:"id,omitempty"`
	Code      string    `json:"code"`
	RequestID string    `json:"request_id"`
}

// Ended implements Observer. A line ends where its JSON does: control
// characters are escaped there.
func (a *audited) Ended(ctx context.Context, c *Call) {
	r := record{
		Bot: a.bot, Time: c.Began.Add(c.Took).UTC(), Peer: c.Peer, Method: c.Method, Protocol: c.Protocol,
		Target: c.Target, Code: c.Code, RequestID: c.RequestID,
	}
	if c.Key {
		r.Client = c.Caller
	}
	if c.OddID != "" {
		r.ID = c.OddID
	} else if c.ID != 0 {
		r.ID = strconv.FormatUint(c.ID, 10)
	}
	line, err := json.Marshal(r)
	if err == nil {
		err = a.write(line)
	}
	if a.failed.Swap(err != nil) || err == nil {
		return
	}
	a.logger.ErrorContext(ctx, "failed to write the audit file; calls continue without it", "error", err)
}
