package message

import (
	"fmt"
	"io"
	"time"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/schollz/progressbar/v3"
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
		return &barProgress{r.env, progressbar.NewOptions(users,
			progressbar.OptionSetWriter(r.env.Err),
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30),
			progressbar.OptionSetPredictTime(false), // the proxy knows better
			progressbar.OptionThrottle(50*time.Millisecond),
		), users}
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
	bar   *progressbar.ProgressBar
	users int
}

func (p *barProgress) begin(key string) {
	announce(p.env.Out, p.users, key)
	_ = p.bar.RenderBlank()
}

func (p *barProgress) result(result *pb.SendDirectMessagesResponse) error {
	p.bar.Describe(fmt.Sprintf("%d failed, %s left", result.GetFailed(), result.GetEstimatedLeft().AsDuration().Round(time.Second)))
	return p.bar.Set(int(result.GetDone()))
}

func (p *barProgress) end() {
	_ = p.bar.Exit()
	_, _ = fmt.Fprintln(p.env.Err)
}
