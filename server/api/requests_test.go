package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// recorder is a Discord that takes everything and writes down what it got.
type recorder struct {
	mu  sync.Mutex
	got strings.Builder
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got.WriteString(req.Method + " " + req.URL.String() + "\n" + string(body) + "\n")
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader([]byte(`{"id":"7"}`))), Request: req,
	}, nil
}

// take returns what was written down since the last take.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.got.Reset()
	return r.got.String()
}

// samples returns values of a field that differ from "not set".
func samples(m protoreflect.Message, f protoreflect.FieldDescriptor) []protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := m.NewField(f)
		if f.IsList() {
			v = v.List().NewElement()
		}
		fill(v.Message())
		return []protoreflect.Value{v}
	case protoreflect.BoolKind:
		return []protoreflect.Value{protoreflect.ValueOfBool(true), protoreflect.ValueOfBool(false)}
	case protoreflect.StringKind:
		return []protoreflect.Value{protoreflect.ValueOfString("sample")}
	case protoreflect.BytesKind:
		return []protoreflect.Value{protoreflect.ValueOfBytes([]byte("sample"))}
	case protoreflect.EnumKind:
		return []protoreflect.Value{protoreflect.ValueOfEnum(1)}
	case protoreflect.Int32Kind:
		return []protoreflect.Value{protoreflect.ValueOfInt32(4)}
	case protoreflect.Int64Kind:
		return []protoreflect.Value{protoreflect.ValueOfInt64(4)}
	case protoreflect.DoubleKind:
		return []protoreflect.Value{protoreflect.ValueOfFloat64(4)}
	default:
		return []protoreflect.Value{protoreflect.ValueOfUint64(4)}
	}
}

// fill sets the plain fields of a message.
func fill(m protoreflect.Message) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.Kind() != protoreflect.MessageKind && !f.IsList() {
			m.Set(f, samples(m, f)[0])
		}
	}
}

// TestEveryFieldOfARequestMatters: every field that a client sets changes the request to
// Discord, or is refused. A forgotten field would do neither.
func TestEveryFieldOfARequestMatters(t *testing.T) {
	discord := new(recorder)
	_, client := tryOnce(t, "token", discord)
	for _, request := range []struct {
		base proto.Message
		call func(proto.Message) error
	}{
		{&pb.SendChannelMessageRequest{ChannelId: 1, Content: "x", Nonce: "n"}, func(m proto.Message) error {
			_, err := client.SendChannelMessage(t.Context(), m.(*pb.SendChannelMessageRequest))
			return err
		}},
		{&pb.SendDirectMessageRequest{UserId: 1, Content: "x", Nonce: "n"}, func(m proto.Message) error {
			_, err := client.SendDirectMessage(t.Context(), m.(*pb.SendDirectMessageRequest))
			return err
		}},
		{&pb.GetGuildChannelsRequest{GuildId: 1}, func(m proto.Message) error {
			_, err := client.GetGuildChannels(t.Context(), m.(*pb.GetGuildChannelsRequest))
			return err
		}},
	} {
		effect := func(m proto.Message) string {
			err := request.call(m)
			return fmt.Sprint(discord.take(), err)
		}
		effect(request.base) // opens the direct message channel
		base := effect(request.base)
		if again := effect(request.base); again != base {
			t.Errorf("the same request had two effects:\n%s\n%s", base, again)
		}
		fields := request.base.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if f.Name() == "allow_cached" {
				continue // nothing is cached without the gateway; test.TestAllowCached has one
			}
			matters := false
			for _, value := range samples(request.base.ProtoReflect(), f) {
				m := proto.Clone(request.base)
				if f.IsList() {
					m.ProtoReflect().Mutable(f).List().Append(value)
				} else {
					m.ProtoReflect().Set(f, value)
				}
				matters = matters || effect(m) != base
			}
			if !matters {
				t.Errorf("%s has no effect", f.FullName())
			}
		}
	}
}
