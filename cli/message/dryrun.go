package message

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// errPlanned ends a command that would have made a call. Nobody reads it.
var errPlanned error = planned{}

type planned struct{}

func (planned) Error() string { return "" }

// limitsTimeout bounds how long --dry-run waits for the proxy.
const limitsTimeout = 5 * time.Second

// plan returns nil unless the call is only to be shown: then it shows it, with
// the rate limits of what it is about, and returns errPlanned.
func (r *request) plan(req proto.Message) error {
	if !r.flags.Bool("dry-run") {
		return nil
	}
	method := strings.TrimSuffix(string(req.ProtoReflect().Descriptor().Name()), "Request")
	shown, err := shownRequest(req)
	if err != nil {
		return err
	}
	limits := r.limits(req)
	if r.output.structured() {
		if err := r.output.write(map[string]any{"dry_run": true, "method": method, "request": shown, "limits": limits}); err != nil {
			return err
		}
		return errPlanned
	}
	line, err := json.Marshal(shown)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.env.Out, "Nothing was sent. The call:\n%s %s\n%s\n", method, line, strings.Join(limits, "\n"))
	if err != nil {
		return err
	}
	return errPlanned
}

// shownRequest is the JSON form of a request without its secrets and without the
// contents of files.
func shownRequest(req proto.Message) (any, error) {
	req = proto.Clone(req)
	withoutSecrets(req.ProtoReflect())
	return plain(req)
}

func withoutSecrets(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() == protoreflect.StringKind && !f.IsList() && strings.HasSuffix(string(f.Name()), "token"):
			m.Set(f, protoreflect.ValueOfString("***"))
		case f.Kind() == protoreflect.BytesKind && !f.IsList():
			m.Clear(f)
		case f.Message() != nil && f.IsList():
			for i := range v.List().Len() {
				withoutSecrets(v.List().Get(i).Message())
			}
		case f.Message() != nil && !f.IsMap():
			withoutSecrets(v.Message())
		}
		return true
	})
}

// limits says what the rate limiter has to say of a call.
func (r *request) limits(req proto.Message) []string {
	ctx, cancel := context.WithTimeout(r.ctx, limitsTimeout)
	defer cancel()
	status, err := r.client.GetRateLimitStatus(ctx, new(pb.GetRateLimitStatusRequest))
	if err != nil {
		return []string{"the rate limits are unknown: " + r.failed(err).Error()}
	}
	var said []string
	if ban := status.GetBan(); ban != nil {
		said = append(
			said,
			fmt.Sprintf("Discord refuses all calls: %s; the next try is in %s", oneLine(ban.GetReason()), round(ban.GetRetryAfter().AsDuration())),
		)
	}
	if status.GetTokenRefused() {
		said = append(said, "Discord refused the bot's token")
	}
	if pause := status.GetGlobal().GetPausedFor(); pause.AsDuration() > 0 {
		said = append(said, fmt.Sprintf("all calls wait for %s, because Discord's global limit was hit", round(pause.AsDuration())))
	}
	for _, b := range status.GetBuckets() {
		if !concerns(req.ProtoReflect(), b.GetResource()) {
			continue
		}
		text := fmt.Sprintf("%s, %s: ", b.GetResource(), strings.Join(b.GetRoutes(), ", "))
		if b.GetLimit() > 0 {
			text += fmt.Sprintf("%d of %d calls left", b.GetRemaining(), b.GetLimit())
		} else {
			text += "limit not known yet"
		}
		if b.GetWaiting() > 0 {
			text += fmt.Sprintf(", %d calls wait, the last of them for about %s", b.GetWaiting(), wait(b.GetEstimatedWait()))
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return []string{fmt.Sprintf("no rate limit delays it; %d calls wait in the whole proxy", status.GetWaiting())}
	}
	return said
}

// concerns reports whether a resource, such as channel 123, is one that a
// request names.
func concerns(m protoreflect.Message, resource string) bool {
	kind, id, _ := strings.Cut(resource, " ")
	f := m.Descriptor().Fields().ByName(protoreflect.Name(kind + "_id"))
	return f != nil && f.Kind() == protoreflect.Uint64Kind && fmt.Sprint(m.Get(f).Uint()) == id
}
