package discord_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestTriesSendTheSameBytes: a repeated upload is the first one again, down to
// the boundary, and so is one that goes to a new channel of the user.
func TestTriesSendTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		var bodies []string
		client := newClient(t, sb, func(next http.RoundTripper) upstream {
			return func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/messages") {
					body, err := io.ReadAll(r.Body)
					if err != nil || int64(len(body)) != r.ContentLength {
						t.Errorf("read %d of %d bytes: %v", len(body), r.ContentLength, err)
					}
					bodies = append(bodies, r.Header.Get("Content-Type")+"\n"+string(body))
					r.Body = io.NopCloser(bytes.NewReader(body))
				}
				return next.RoundTrip(r)
			}
		})
		alice := sb.World().Alice
		if _, err := client.SendDirectMessage(t.Context(), nil, uint64(alice), discord.Message{Fields: discord.Args{"content": "opens"}}); err != nil {
			t.Fatal(err)
		}
		bodies = nil
		sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 2, Status: 502})
		sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 404, Body: `{"message":"Unknown Channel","code":10003}`})
		_, err := client.SendDirectMessage(t.Context(), nil, uint64(alice), discord.Message{
			Fields: discord.Args{"attachments": []discord.Args{{"id": "0"}}},
			Files:  []discord.File{{Name: "a.txt", Data: []byte("hello")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(bodies) != 4 {
			t.Fatalf("%d tries", len(bodies))
		}
		for i := range bodies {
			if bodies[i] != bodies[0] {
				t.Errorf("try %d sent %q\nthe first %q", i+1, bodies[i], bodies[0])
			}
		}
	})
}

// TestFileNames: no file name can end its header or add a field.
func TestFileNames(t *testing.T) {
	names := []string{"a.txt", "ünï ☃.png", `quo"te.txt`, "x\r\nX-Evil: 1\r\n\r\nbody", `back\slash`, "a\"; name=\"payload_json", "nul\x00"}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{})
			var parts []string
			client := newClient(t, sb, func(next http.RoundTripper) upstream {
				return func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					_, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
					if err != nil {
						t.Error(err)
					}
					form := multipart.NewReader(bytes.NewReader(body), options["boundary"])
					for {
						part, err := form.NextRawPart()
						if err != nil {
							break
						}
						if len(part.Header) != 2 {
							t.Errorf("a part has the header %v", part.Header)
						}
						data, err := io.ReadAll(part)
						if err != nil {
							t.Error(err)
						}
						parts = append(parts, part.FormName()+"="+string(data))
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					return next.RoundTrip(r)
				}
			})
			_, err := client.CreateMessage(t.Context(), nil, uint64(sb.World().General), discord.Message{
				Fields: discord.Args{"nonce": "n", "attachments": []discord.Args{{"id": "0", "filename": name}}},
				Files:  []discord.File{{Name: name, Data: []byte("data")}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(parts) != 2 || !strings.HasPrefix(parts[0], `payload_json={"attachments":`) || parts[1] != "files[0]=data" {
				t.Errorf("the form is %q", parts)
			}
			if stored := sb.Messages(sb.World().General); len(stored) != 1 || len(stored[0].Attachments) != 1 || stored[0].Attachments[0].Size != 4 {
				t.Errorf("stored is %+v", stored)
			}
		})
	}
}
