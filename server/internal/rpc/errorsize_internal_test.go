package rpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// encodedLen is the length of a message in a grpc-message header.
func encodedLen(message string) int {
	var encoded strings.Builder
	for _, b := range []byte(message) {
		if b < 0x20 || b > 0x7e || b == '%' {
			fmt.Fprintf(&encoded, "%%%02X", b)
		} else {
			encoded.WriteByte(b)
		}
	}
	return encoded.Len()
}

func TestBoundMessage(t *testing.T) {
	document := func(text string) string {
		return fmt.Sprintf(`{"type": "HTTPException", "status": 400, "code": 50035, "text": %q}`, text)
	}
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		message string
		limit   int
		want    string
	}{
		"short":               {"short", 100, "short"},
		"empty":               {"", 100, ""},
		"exact":               {"0123456789", 10, "0123456789"},
		"one too long":        {"0123456789a", 10, "0123456..."},
		"percent sign":        {"%%%%", 10, "%%..."},
		"runes":               {"ääää", 15, "ää..."},
		"half a rune fits":    {"ääää", 20, "ää..."},
		"no room for dots":    {"abcdef", 2, "ab"},
		"no room at all":      {"abcdef", 0, ""},
		"invalid UTF-8":       {"a\xffb", 100, "a\uFFFDb"},
		"document fits":       {document("text"), 200, document("text")},
		"document's text cut": {`{"text":"` + long + `","code":1}`, 40, `{"text":"xxxxxxxxxxxxxxxxx...","code":1}`},
		"document, runes":     {`{"code":1,"text":"` + strings.Repeat("ä", 100) + `"}`, 40, `{"code":1,"text":"ää..."}`},
		"document, escapes":   {`{"code":1,"text":"` + strings.Repeat(`\"`, 100) + `"}`, 30, `{"code":1,"text":"\"\"\"..."}`},
		"document, last text": {`{"text":"a","text":"` + long + `"}`, 26, `{"text":"a","text":"x..."}`},
		"document, no room":   {`{"code":1,"text":"` + long + `"}`, 22, `{"code":1,"text":""}`},
		"nested text":         {`{"a":{"text":"` + long + `"}}`, 20, `{"a":{"text":"xxx...`},
		"text is no string":   {`{"text":[1,1,1,1,1,1,1,1,1,1]}`, 20, `{"text":[1,1,1,1,...`},
		"all else too long":   {`{"type":"HTTPException","status":400,"x":"` + long + `","text":"hello"}`, 200, `{"type":"HTTPException","status":400,"text":""}`},
		"starts like one":     {`{"text": ` + long, 20, `{"text": xxxxxxxx...`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := boundMessage(test.message, test.limit); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func FuzzBoundMessage(f *testing.F) {
	for _, seed := range []string{
		"", "short", "ä%\x00", `{"type":"HTTPException","status":404,"code":10003,"text":"Unknown Channel"}`,
		`{"text":"\ud83d\ude00 \u0000 \\ \" <>&"}`, `{"text":1}`, `{"text":"a","text":"b"} `, "\xff\xfe",
		` {"a":{"text":"b"},"text":"` + strings.Repeat("ä", 40) + `"}`,
	} {
		f.Add(seed, 40)
	}
	f.Fuzz(func(t *testing.T, message string, limit int) {
		if limit < 0 || limit > 10_000 {
			return
		}
		got := boundMessage(message, limit)
		if n := encodedLen(got); n > limit {
			t.Fatalf("%d bytes encoded, limit %d", n, limit)
		}
		if !utf8.ValidString(got) {
			t.Fatalf("invalid UTF-8: %q", got)
		}
		if utf8.ValidString(message) && encodedLen(message) <= limit && got != message {
			t.Fatalf("%q fits but became %q", message, got)
		}
		var before, after map[string]any
		if json.Unmarshal([]byte(message), &before) != nil {
			return
		}
		text, isDocument := before["text"].(string)
		// With this much room even the shortest document fits.
		if !isDocument || limit < 300 {
			return
		}
		if err := json.Unmarshal([]byte(got), &after); err != nil {
			t.Fatalf("no JSON any more: %q: %v", got, err)
		}
		cut, ok := after["text"].(string)
		// Runs of invalid bytes are replaced as one, by JSON's reader one by one.
		if !ok || utf8.ValidString(message) && !strings.HasPrefix(text, strings.TrimSuffix(cut, "...")) {
			t.Fatalf("text %q became %q", text, cut)
		}
	})
}

func detail(t *testing.T, size int) *connect.ErrorDetail {
	t.Helper()
	d, err := connect.NewErrorDetail(wrapperspb.String(strings.Repeat("d", size)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBoundErrorKeepsWhatFits(t *testing.T) {
	err := connect.NewError(connect.CodeNotFound, errors.New("unknown channel"))
	err.AddDetail(detail(t, 100))
	if got := boundError(fmt.Errorf("wrapped: %w", err)); !errors.Is(got, err) {
		t.Errorf("got %v", got)
	}
	if got := boundError(nil); got != nil {
		t.Errorf("nil became %v", got)
	}
	if got := boundError(context.DeadlineExceeded); !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("got %v", got)
	}
}

func TestBoundErrorCutsWhatDoesNotFit(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	err := connect.NewError(connect.CodeNotFound, errors.New(long))
	for range 4 {
		err.AddDetail(detail(t, 600))
	}
	err.Meta().Set("Retry-After", "3")

	var got *connect.Error
	if !errors.As(boundError(err), &got) {
		t.Fatal("not a connect error")
	}
	if got.Code() != connect.CodeNotFound || got.Meta().Get("Retry-After") != "3" {
		t.Errorf("code %v, meta %v", got.Code(), got.Meta())
	}
	if n := encodedLen(got.Message()); n > MaxErrorMessage || n < MaxErrorMessage-10 {
		t.Errorf("message has %d bytes encoded", n)
	}
	if n := len(got.Details()); n != 1 {
		t.Errorf("%d details kept, want 1", n)
	}
	s := &status.Status{Code: int32(got.Code()), Message: got.Message()}
	for _, d := range got.Details() {
		s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type(), Value: d.Bytes()})
	}
	if n := encodedLen(got.Message()) + base64.RawStdEncoding.EncodedLen(proto.Size(s)); n > 7000 {
		t.Errorf("message and details take %d bytes of metadata", n)
	}
}

func TestBoundErrorKeepsTheCodeOfContextErrors(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, test := range []struct {
		err  error
		want connect.Code
	}{
		{fmt.Errorf("%s: %w", long, context.Canceled), connect.CodeCanceled},
		{fmt.Errorf("%s: %w", long, context.DeadlineExceeded), connect.CodeDeadlineExceeded},
		{errors.New(long), connect.CodeUnknown},
	} {
		if got := connect.CodeOf(boundError(test.err)); got != test.want {
			t.Errorf("code %v, want %v", got, test.want)
		}
	}
}
