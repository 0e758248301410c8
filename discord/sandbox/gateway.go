package sandbox

import (
	"cmp"
	"time"
)

var gatewayRoutes = []route{
	{method: "GET", template: "/gateway", handle: (*Sandbox).getGateway, open: true, perIP: true},
	{method: "GET", template: "/gateway/bot", handle: (*Sandbox).getGatewayBot},
}

func (s *Sandbox) getGateway(c *call) (any, error) {
	return map[string]string{"url": s.gatewayURL(c.r)}, nil
}

func (s *Sandbox) getGatewayBot(c *call) (any, error) {
	type startLimit struct {
		Total          int   `json:"total"`
		Remaining      int   `json:"remaining"`
		ResetAfter     int64 `json:"reset_after"` // milliseconds
		MaxConcurrency int   `json:"max_concurrency"`
	}
	l := s.gateway.limits
	left := startLimit{Total: l.Starts, Remaining: l.Starts, MaxConcurrency: l.MaxConcurrency}
	if used := s.gateway.starts[c.user.ID]; used != nil && c.at.Before(used.full) {
		left.Remaining = max(0, l.Starts-used.used)
		left.ResetAfter = used.full.Sub(c.at).Round(time.Millisecond).Milliseconds()
	}
	f := s.gateway.faults
	if f.Remaining != nil {
		left.Remaining = *f.Remaining
	}
	shown := &left
	if f.NoStartLimit {
		shown = nil
	}
	return struct {
		URL    string      `json:"url"`
		Shards int         `json:"shards"`
		Limit  *startLimit `json:"session_start_limit,omitempty"`
	}{cmp.Or(f.URL, s.gatewayURL(c.r)), l.Shards, shown}, nil
}
