package ratelimit

import (
	"net/url"
	"strings"
)

// LineOf names what keeps its order: the channel, webhook or interaction in
// which a request creates a message. It is empty for all other requests. The
// path is that of RouteOf, with the query, in which a webhook's thread may be.
func LineOf(method, path string) string {
	path, query, _ := strings.Cut(path, "?")
	var array [maxSegments]string
	seg := segments(path, array[:0])
	is := func(pattern ...string) bool {
		if len(seg) != len(pattern) {
			return false
		}
		for i, want := range pattern {
			if want != "" && want != seg[i] {
				return false
			}
		}
		return true
	}
	post := method == "POST"
	switch {
	case post && (is("channels", "", "messages") || is("channels", "", "threads")):
		return "channel " + name(seg[1])
	case post && is("interactions", "", "", "callback"):
		return "interaction " + digest(seg[2])
	case (post && is("webhooks", "", "") || method == "PATCH" && is("webhooks", "", "", "messages", "@original")) &&
		strings.HasPrefix(seg[2], interactionToken):
		return "interaction " + digest(seg[2])
	case post && (is("webhooks", "", "") || is("webhooks", "", "", "slack") || is("webhooks", "", "", "github")):
		line := "webhook " + name(seg[1]) + "/" + digest(seg[2])
		if values, _ := url.ParseQuery(query); values.Get("thread_id") != "" {
			line += " thread " + name(values.Get("thread_id"))
		}
		return line
	}
	return ""
}

// line is the calls of one caller to one place that keep their order: one goes
// when the one before has ended for good. Between its tries a call keeps its
// place at the head. It exists while a call of it waits or is open.
type line struct {
	account *account
	key     lineKey
	open    uint64  // number of the call that was sent and has not ended for good, 0 if there is none
	lanes   []*lane // with waiting calls: one, unless several routes lead to the place
	stirred bool    // in core.stirred
}

type lineKey struct{ caller, name string }

// line returns the line of a request, nil if it has none. A new one is not
// listed before a call of it is sent or waits.
func (a *account) line(r *Request) *line {
	if r.Line == "" {
		return nil
	}
	key := lineKey{r.Caller, r.Line}
	if l := a.lines[key]; l != nil {
		return l
	}
	return &line{account: a, key: key}
}

// lets reports whether the line, as far as it goes, lets a call go that is in
// it or comes to it.
func (l *line) lets(x *call) bool {
	if l == nil {
		return true
	}
	if l.open != 0 {
		return l.open == x.seq
	}
	for _, o := range l.lanes {
		if o.calls.first.seq < x.seq {
			return false
		}
	}
	return true
}

// lane returns the line's calls in a queue, nil if there are none.
func (l *line) lane(q *queue) *lane {
	for _, o := range l.lanes {
		if o.queue == q {
			return o
		}
	}
	return nil
}

// begin makes a call that is about to be sent the open one of its line.
func (x *call) begin() {
	if x.line != nil {
		x.line.open = x.seq
		x.list()
	}
}

// list makes the line of a call known to the calls that come after it.
func (x *call) list() {
	if x.line != nil {
		x.account.lines[x.line.key] = x.line
	}
}

// done ends a call for good: it makes no further try, so that the next of its
// line may go.
func (c *core) done(x *call, now instant) {
	if l := x.line; l != nil && l.open == x.seq {
		l.open = 0
		c.stir(l)
		c.advance(now)
	}
}

// stir has dispatch look again at a line, whose next call may be another one
// than before, in any bucket.
func (c *core) stir(l *line) {
	if !l.stirred {
		l.stirred = true
		c.stirred = append(c.stirred, l)
	}
}

// follow looks again at the lines that were stirred. It forgets those without
// calls.
func (c *core) follow(now instant) {
	for len(c.stirred) > 0 {
		last := len(c.stirred) - 1
		l := c.stirred[last]
		c.stirred = c.stirred[:last]
		l.stirred = false
		if l.open == 0 && len(l.lanes) == 0 {
			delete(l.account.lines, l.key)
		}
		for _, o := range l.lanes {
			o.arrange()
			c.settle(o.queue.class.route.bucket, now)
		}
	}
}
