package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
)

// outcome is what a caller knows of its message in the end.
type outcome int

const (
	ok      outcome = iota
	unknown         // it failed and may be there
	failed          // it failed, and the answer does not say that it may be there
	nothing         // the caller's own clock, or the end of the server, cut the call off
)

// patience is the deadline of a caller who waits for everything that the server
// does for a call.
const patience = 4 * time.Minute

// callers send messages, each with a text of its own.
type callers struct {
	clients  []discordapiconnect.DiscordApiClient
	books    *ledger
	channels []sandbox.ID
	users    []sandbox.ID
}

func newCallers(address string, books *ledger, channels, users []sandbox.ID) *callers {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	url := "http://" + address
	return &callers{
		clients: []discordapiconnect.DiscordApiClient{
			discordapiconnect.NewDiscordApiClient(&http.Client{Transport: &http.Transport{Protocols: h2}}, url, connect.WithGRPC()),
			discordapiconnect.NewDiscordApiClient(&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, url, connect.WithProtoJSON()),
		},
		books: books, channels: channels, users: users,
	}
}

// send sends one message after the other until sending has ended. Most callers
// are patient; some soon give up; some repeat a call that was cut off, with the
// same nonce, as docs/clients.md asks authors of clients to do.
func (c *callers) send(ctx, sending context.Context, caller int, r *mathrand.Rand) {
	for i := 0; sending.Err() == nil; i++ {
		content := fmt.Sprintf("message %d of caller %d", i, caller)
		deadline := patience
		repeats := r.IntN(2) == 0
		if r.IntN(5) == 0 {
			deadline, repeats = 50*time.Millisecond+time.Duration(r.Int64N(int64(4*time.Second))), false
		}
		nonce := ""
		if repeats {
			nonce = rand.Text()[:25]
		}
		client := c.clients[r.IntN(len(c.clients))]
		direct := r.IntN(50) == 0
		began, outcome, text := time.Now(), nothing, ""
		for try := 0; ; try++ {
			within, cancel := context.WithTimeout(ctx, deadline)
			var err error
			if direct {
				_, err = client.SendDirectMessage(within, &pb.SendDirectMessageRequest{
					UserId: uint64(c.users[caller%len(c.users)]), Content: content, Nonce: nonce,
				})
			} else {
				_, err = client.SendChannelMessage(within, &pb.SendChannelMessageRequest{
					ChannelId: uint64(c.channels[caller]), Content: content, Nonce: nonce,
				})
			}
			cancel()
			now := meaning(err)
			if now == failed && try > 0 {
				now = unknown // an earlier try was cut off
			}
			outcome = now
			if now == nothing && repeats && time.Since(began) < 2*time.Minute && ctx.Err() == nil {
				wait(ctx, r, time.Second)
				continue
			}
			if err != nil {
				text = err.Error()
			}
			break
		}
		c.books.note(content, entry{outcome: outcome, text: text, took: time.Since(began), patient: deadline == patience, repeated: repeats})
		if outcome != ok {
			wait(sending, r, 200*time.Millisecond) // the server may be away
		}
	}
}

// meaning returns what an answer means to its caller.
func meaning(err error) outcome {
	if err == nil {
		return ok
	}
	status, isStatus := errors.AsType[*connect.Error](err)
	if !isStatus || !connect.IsWireError(err) {
		return nothing
	}
	for _, detail := range status.Details() {
		if value, err := detail.Value(); err == nil {
			if e, ok := value.(*pb.DiscordError); ok && e.GetOutcomeUnknown() {
				return unknown
			}
		}
	}
	return failed
}

type entry struct {
	outcome  outcome
	text     string // of the error
	took     time.Duration
	patient  bool
	repeated bool // with a nonce of its own until there was an answer
}

// ledger records the outcomes of callers. It is safe for concurrent use.
type ledger struct {
	mu      sync.Mutex
	entries map[string]entry
}

func newLedger() *ledger { return &ledger{entries: make(map[string]entry)} }

func (l *ledger) note(content string, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[content] = e
}

func (l *ledger) len() int { return len(l.entries) }

// judge compares with what is stored, and writes the four numbers that must
// be 0. ended says that the server was ended meanwhile, so that calls were cut
// off.
func (l *ledger) judge(out io.Writer, stored map[string]int, ended bool) error {
	lost, duplicated, absent, present := 0, 0, 0, 0
	var number [nothing + 1]int
	var times []time.Duration
	reasons := make(map[string]int)
	wrong := func(count *int, content, what string) {
		*count++
		_, _ = fmt.Fprintf(out, "%q %s: %+v\n", content, what, l.entries[content])
	}
	for content, n := range stored {
		for range n - 1 {
			wrong(&duplicated, content, "is doubled")
		}
	}
	for content, e := range l.entries {
		number[e.outcome]++
		there := stored[content] > 0
		switch {
		case e.outcome == ok:
			times = append(times, e.took)
			if !there {
				wrong(&absent, content, "is absent")
			}
		case e.outcome == failed:
			reason, _, _ := strings.Cut(e.text, ";")
			reasons[reason]++
			if there {
				wrong(&present, content, "is present")
			}
		case e.outcome == nothing && !there && e.patient && (!ended || e.repeated):
			wrong(&lost, content, "is lost")
		}
	}
	slices.Sort(times)
	if len(times) == 0 {
		return errors.New("not one message was sent")
	}
	_, _ = fmt.Fprintf(
		out,
		"answered OK %d, p50 %v, p99 %v, slowest %v\n",
		len(times),
		times[len(times)/2].Round(time.Millisecond),
		times[len(times)*99/100].Round(time.Millisecond),
		times[len(times)-1].Round(time.Millisecond),
	)
	_, _ = fmt.Fprintf(
		out,
		"answered failed, outcome unknown %d; answered failed %d (%s); cut off without an answer %d\n",
		number[unknown],
		number[failed],
		counts(reasons),
		number[nothing],
	)
	_, _ = fmt.Fprintf(
		out,
		"lost %d\nduplicated %d\nanswered OK but absent %d\nanswered failed but present without \"outcome unknown\" %d\n",
		lost,
		duplicated,
		absent,
		present,
	)
	if lost+duplicated+absent+present > 0 {
		return errors.New("a message was lost or doubled, or its caller got a wrong answer")
	}
	return nil
}
