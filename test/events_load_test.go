//go:build linux

package test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// arrivals is a response of SubscribeEvents reduced to the times of messages
// are read: a thousand clients that read everything would take the processor
// from the server that is measured.
type arrivals struct{ received []time.Time }

type arrivalsCodec struct{}

func (arrivalsCodec) Name() string { return "proto" }

func (arrivalsCodec) Marshal(m any) ([]byte, error) { return proto.Marshal(m.(proto.Message)) }

func (arrivalsCodec) Unmarshal(data []byte, m any) error {
	return eachField(data, func(number protowire.Number, event []byte, _ uint64) {
		if number != 1 {
			return
		}
		var at []byte
		var kind uint64
		_ = eachField(event, func(number protowire.Number, value []byte, n uint64) {
			switch number {
			case 2:
				at = value
			case 3:
				kind = n
			}
		})
		var seconds, nanos uint64
		_ = eachField(at, func(number protowire.Number, _ []byte, n uint64) {
			if number == 1 {
				seconds = n
			} else {
				nanos = n
			}
		})
		if kind == uint64(pb.Event_MESSAGE_CREATE) {
			a := m.(*arrivals)
			a.received = append(a.received, time.Unix(int64(seconds), int64(nanos)))
		}
	})
}

// eachField walks through the fields of a message.
func eachField(data []byte, do func(number protowire.Number, value []byte, n uint64)) error {
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var value []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(number, kind, data)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		do(number, value, n)
		data = data[size:]
	}
	return nil
}

// TestEventLoad measures what many subscribers of many events cost a server that
// is a process of its own: DISCORDPROXY_TEST_LOAD is how long, without it is
// skipped.
func TestEventLoad(t *testing.T) {
	length := lasting(t, "DISCORDPROXY_TEST_LOAD", 0)
	if length == 0 {
		require.Skip(t, "DISCORDPROXY_TEST_LOAD is not set", "it says how long to measure")
	}
	const subscribers, rate, channels = 1000, 1000, 1000
	for _, tt := range []struct {
		name string
		each bool // every subscriber hears everything
	}{{"each hears a thousandth", false}, {"each hears everything", true}} {
		t.Run(tt.name, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 10})
			defer sb.Close()
			ids := make([]sandbox.ID, channels)
			for i := range ids {
				id, err := sb.AddChannel(sandbox.Channel{GuildID: sb.World().Guild, Name: fmt.Sprintf("c%d", i)})
				if err != nil {
					t.Fatal(err)
				}
				ids[i] = id
			}
			discord := httptest.NewServer(sb)
			defer discord.Close()
			p := proxytest.StartProcess(t, func(cmd *exec.Cmd) { // its own sandbox is not asked
				cmd.Args = slices.DeleteFunc(cmd.Args, func(arg string) bool { return arg == "--sandbox" })
			}, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api")
			for began := time.Now(); len(sb.GatewaySessions()) == 0; time.Sleep(time.Millisecond) {
				if time.Since(began) > proxytest.Patience {
					t.Fatal("the server does not come to the gateway")
				}
			}

			var (
				mu     sync.Mutex
				delays []time.Duration
				got    atomic.Int64
				behind atomic.Int64
				begun  sync.WaitGroup
				all    sync.WaitGroup
			)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var client *connect.Client[pb.SubscribeEventsRequest, arrivals]
			for i := range subscribers {
				if i%100 == 0 {
					client = connect.NewClient[pb.SubscribeEventsRequest, arrivals](proxytest.NewHTTP2Client(), "http://"+p.Address+discordapiconnect.DiscordApiSubscribeEventsProcedure,
						connect.WithGRPC(), connect.WithCodec(arrivalsCodec{}))
				}
				req := &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}}
				if !tt.each {
					req.ChannelIds = []uint64{uint64(ids[i])}
				}
				begun.Add(1)
				all.Go(func() {
					var mine []time.Duration
					begin := sync.OnceFunc(begun.Done)
					defer begin()
					stream, err := client.CallServerStream(ctx, connect.NewRequest(req))
					if err != nil {
						t.Error(err)
						return
					}
					for stream.Receive() {
						begin()
						now := time.Now()
						for _, at := range stream.Msg().received {
							mine = append(mine, now.Sub(at))
						}
						got.Add(int64(len(stream.Msg().received)))
					}
					if connect.CodeOf(stream.Err()) == connect.CodeResourceExhausted {
						behind.Add(1)
					}
					mu.Lock()
					delays = append(delays, mine...)
					mu.Unlock()
				})
			}
			begun.Wait()
			cpu := processorTime(t, p.Cmd.Process.Pid)
			began, sent := time.Now(), 0
			for time.Since(began) < length {
				for ; sent < int(time.Since(began).Seconds()*rate); sent++ {
					proxytest.Post(t, sb, ids[sent%channels], "load")
				}
				time.Sleep(time.Millisecond)
			}
			took := time.Since(began)
			want := int64(sent)
			if tt.each {
				want *= subscribers
			}
			for wait := time.Now(); got.Load() < want && behind.Load() == 0 && time.Since(wait) < proxytest.Patience; time.Sleep(10 * time.Millisecond) {
			}
			over := time.Since(began)
			cpu = processorTime(t, p.Cmd.Process.Pid) - cpu
			cancel()
			all.Wait()
			slices.Sort(delays)
			if len(delays) == 0 {
				t.Fatal("nothing came")
			}
			t.Logf("%d subscribers, %d events in %s: %d of %d received after %s, %d subscribers too slow; delay p50 %s, p99 %s; the server took %s of processor time, %.0f %% of one of %d processors",
				subscribers, sent, took.Round(time.Millisecond), got.Load(), want, over.Round(time.Millisecond), behind.Load(),
				delays[len(delays)/2].Round(100*time.Microsecond), delays[len(delays)*99/100].Round(100*time.Microsecond),
				cpu, 100*cpu.Seconds()/over.Seconds(), runtime.NumCPU())
		})
	}
}

// processorTime returns the processor time that a process has had, in steps of
// 10 ms.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name before them may contain anything; see proc_pid_stat(5).
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
