package message

import (
	"fmt"
	"io"
	"strings"
	"time"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"
)

// progress shows the progress of a broadcast.
type progress interface {
	begin(key string)
	result(result *pb.SendDirectMessagesResponse) error
	end()
}

// newProgress returns a bar when a person looks at a terminal, else lines.
func newProgress(r *request, users int) progress {
	switch {
	case r.output.structured():
		return dataProgress{r}
	case r.output.quiet:
		return noProgress{}
	case command.IsTerminal(r.env.Err):
		return &barProgress{env: r.env, users: users}
	default:
		return lineProgress{r.env.Out, users}
	}
}

func announce(w io.Writer, users int, key string) {
	_, _ = fmt.Fprintf(w, "Sending to %d users with the key %s\n", users, key)
}

// lineProgress writes a line for each result.
type lineProgress struct {
	out   io.Writer
	users int
}

func (p lineProgress) begin(key string) { announce(p.out, p.users, key) }

func (p lineProgress) result(result *pb.SendDirectMessagesResponse) error {
	text := "sent"
	if result.GetError() != nil {
		text = failureText(result)
	}
	_, err := fmt.Fprintf(p.out, "%d %s\n", result.GetUserId(), text)
	return err
}

func (lineProgress) end() {}

// noProgress writes nothing.
type noProgress struct{}

func (noProgress) begin(string)                                {}
func (noProgress) result(*pb.SendDirectMessagesResponse) error { return nil }
func (noProgress) end()                                        {}

// dataProgress writes each result as it came.
type dataProgress struct{ r *request }

func (dataProgress) begin(string) {}

func (p dataProgress) result(result *pb.SendDirectMessagesResponse) error {
	return p.r.writeAnswer(result)
}

func (dataProgress) end() {}

// barProgress draws on the terminal.
type barProgress struct {
	env   command.Env
	users int
	state string // what the line says before the bar
	done  int
	drawn time.Time
}

func (p *barProgress) begin(key string) {
	announce(p.env.Out, p.users, key)
	p.draw()
}

func (p *barProgress) result(result *pb.SendDirectMessagesResponse) error {
	p.state = fmt.Sprintf("%d failed, %s left ", result.GetFailed(), result.GetEstimatedLeft().AsDuration().Round(time.Second))
	p.done = int(result.GetDone())
	if time.Since(p.drawn) >= redrawInterval {
		p.draw()
	}
	return nil
}

func (p *barProgress) end() {
	p.draw()
	_, _ = fmt.Fprintln(p.env.Err)
}

const (
	redrawInterval = 50 * time.Millisecond
	barWidth       = 30
	clearLine      = "\r\033[K"
)

func (p *barProgress) draw() {
	p.drawn = time.Now()
	whole := max(p.users, 1)
	done := min(p.done, whole)
	bar := strings.Repeat("█", done*barWidth/whole)
	_, _ = fmt.Fprintf(p.env.Err, "%s%s%d%% |%-*s| (%d/%d)", clearLine, p.state, done*100/whole, barWidth, bar, done, p.users)
}
