package api_test

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"
)

// interrupt has the first request of a route fail, and stops the server when the
// delivery "once" does not know what became of it.
func (q *queue) interrupt(sb *sandbox.Sandbox, route string, stored bool, req *pb.EnqueueRequest) {
	q.Helper()
	fault := sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, After: stored, Count: 1})
	req.DeliveryId = "once"
	q.enqueue(req)
	q.crash(sb, route)
	sb.RemoveFault(fault)
}

// crash stops the queue when the first try of delivery "once" has ended. It reads what
// is on disk only then: while the queue runs, a read that waits for the file lets the
// clock of the test advance to the next try.
func (q *queue) crash(sb *sandbox.Sandbox, route string) {
	q.Helper()
	tried := func(c sandbox.Call) bool { return c.Route == route }
	for end := time.Now().Add(time.Hour); !slices.ContainsFunc(sb.Calls(), tried); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			q.Fatalf("%s was not called", route)
		}
	}
	synctest.Wait()
	q.stop()
	left := openQueue(q.T, sb, queueConfig{folder: q.folder, idle: true})
	if d := left.get("once"); d.GetState() != pb.Delivery_SENDING || d.GetReason() == "" {
		q.Errorf("%v", d)
	}
	left.stop()
}

// TestCrashOfOtherCalls: calls without a nonce take effect once, too.
func TestCrashOfOtherCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		route string
		call  func(sandbox.World, *pb.EnqueueRequest, sandbox.ID)
		count func(*sandbox.Sandbox) int
	}{
		"webhook": {
			"POST /webhooks/{webhook_id}/{webhook_token}",
			func(w sandbox.World, req *pb.EnqueueRequest, _ sandbox.ID) {
				req.Call = &pb.EnqueueRequest_ExecuteWebhook{ExecuteWebhook: &pb.ExecuteWebhookRequest{
					WebhookId: uint64(w.Webhook), WebhookToken: w.WebhookToken, Content: "by the webhook",
				}}
			},
			func(sb *sandbox.Sandbox) (n int) {
				for _, channel := range sb.Channels() {
					for _, m := range sb.Messages(channel.ID) {
						if m.Content == "by the webhook" {
							n++
						}
					}
				}
				return n
			},
		},
		"thread": {
			"POST /channels/{channel_id}/threads",
			func(w sandbox.World, req *pb.EnqueueRequest, _ sandbox.ID) {
				req.Call = &pb.EnqueueRequest_StartThread{StartThread: &pb.StartThreadRequest{
					ChannelId: uint64(w.General), Name: "a new thread", Type: pb.Channel_PUBLIC_THREAD,
				}}
			},
			threads,
		},
		"thread of a message": {
			"POST /channels/{channel_id}/messages/{message_id}/threads",
			func(w sandbox.World, req *pb.EnqueueRequest, message sandbox.ID) {
				req.Call = &pb.EnqueueRequest_StartThread{StartThread: &pb.StartThreadRequest{
					ChannelId: uint64(w.General), MessageId: uint64(message), Name: "a new thread",
				}}
			},
			threads,
		},
		"crosspost": {
			"POST /channels/{channel_id}/messages/{message_id}/crosspost",
			func(w sandbox.World, req *pb.EnqueueRequest, message sandbox.ID) {
				req.Call = &pb.EnqueueRequest_CrosspostMessage{CrosspostMessage: &pb.CrosspostMessageRequest{
					ChannelId: uint64(w.Announcement), MessageId: uint64(message),
				}}
			},
			func(*sandbox.Sandbox) int { return 1 }, // Discord refuses a second time
		},
	} {
		for outcome, stored := range map[string]bool{"stored": true, "not stored": false} {
			t.Run(name+", "+outcome, func(t *testing.T) {
				inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
					w, folder := sb.World(), t.TempDir()
					channel := w.General
					if name == "crosspost" {
						channel = w.Announcement
					}
					message, err := sb.AddMessage(sandbox.Message{ChannelID: channel, Content: "a message"})
					if err != nil {
						t.Fatal(err)
					}
					req := new(pb.EnqueueRequest)
					tt.call(w, req, message)
					q := openQueue(t, sb, queueConfig{folder: folder})
					q.interrupt(sb, tt.route, stored, req)
					time.Sleep(time.Hour)
					q = openQueue(t, sb, queueConfig{folder: folder})
					d := q.ends("once", pb.Delivery_DELIVERED)
					if n := tt.count(sb); n != 1 {
						t.Errorf("%d times: %v", n, d)
					}
					if name == "thread of a message" && d.GetMessageId() != uint64(message) {
						t.Errorf("%v", d)
					}
				})
			})
		}
	}
}

// TestRestoredBackup: what waited when a backup was made, and was sent since, is not sent
// again after the backup has been restored. What was not sent is, unless it has expired.
func TestRestoredBackup(t *testing.T) {
	for after, want := range map[time.Duration]pb.Delivery_State{time.Hour: pb.Delivery_DELIVERED, 48 * time.Hour: pb.Delivery_EXPIRED} {
		inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
			w, folder, copied := sb.World(), t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
			q := openQueue(t, sb, queueConfig{folder: folder, idle: true})
			for _, text := range []string{"sent", "not-sent"} {
				q.enqueue(message(w.General, text))
			}
			if err := store.Backup(t.Context(), folder, copied); err != nil {
				t.Fatal(err)
			}
			if _, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "not-sent"}); err != nil {
				t.Fatal(err)
			}
			q.stop()
			q = openQueue(t, sb, queueConfig{folder: folder})
			q.ends("sent", pb.Delivery_DELIVERED)
			q.stop()
			time.Sleep(after)
			if err := store.Restore(t.Context(), folder, copied); err != nil {
				t.Fatal(err)
			}
			q = openQueue(t, sb, queueConfig{folder: folder})
			q.ends("sent", pb.Delivery_DELIVERED)
			q.ends("not-sent", want)
			texts := []string{"sent", "not-sent"}
			if want == pb.Delivery_EXPIRED {
				texts = texts[:1]
			}
			if got := posted(sb, w.General); !slices.Equal(got, texts) {
				t.Errorf("after %v: %q", after, got)
			}
		})
	}
}

// TestCrashWhileDiscordIsAway: the outcome of an attempt stays unknown until Discord can
// be reached.
func TestCrashWhileDiscordIsAway(t *testing.T) {
	const history = "GET /channels/{channel_id}/messages"
	for name, fault := range map[string]sandbox.Fault{
		"reset":  {Route: history, Kind: sandbox.FaultReset},
		"broken": {Route: history, Status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
				w, folder := sb.World(), t.TempDir()
				q := openQueue(t, sb, queueConfig{folder: folder})
				q.interrupt(sb, "POST /channels/{channel_id}/messages", true, message(w.General, "once"))
				away := sb.InjectFault(fault)
				time.Sleep(time.Hour)
				q = openQueue(t, sb, queueConfig{folder: folder})
				began := time.Now()
				asked := func() (n int) {
					for _, c := range sb.Calls() {
						if c.Route == history {
							n++
						}
					}
					return n
				}
				// No wait between two looks is longer than a minute. Each second that
				// passes costs the outbox several reads of the disk.
				for before := asked(); time.Since(began) < 4*time.Minute; before = asked() {
					time.Sleep(2 * time.Minute)
					if n := asked(); n <= before {
						t.Errorf("the proxy has not looked again: %d requests after %d", n, before)
					}
				}
				if d := q.get("once"); d.GetState() != pb.Delivery_SENDING {
					t.Errorf("%v", d)
				}
				q.stop()
				sb.RemoveFault(away)
				q = openQueue(t, sb, queueConfig{folder: folder})
				q.ends("once", pb.Delivery_DELIVERED)
				if got := posted(sb, w.General); !slices.Equal(got, []string{"once"}) {
					t.Errorf("%q", got)
				}
			})
		})
	}
}

// threads counts the threads that TestCrashOfOtherCalls starts.
func threads(sb *sandbox.Sandbox) (n int) {
	for _, channel := range sb.Channels() {
		if channel.Name == "a new thread" {
			n++
		}
	}
	return n
}
