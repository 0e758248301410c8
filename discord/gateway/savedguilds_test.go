package gateway_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/gateway"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// saved are the parts that an Export leads to.
type savedParts map[string][]byte

func (s savedParts) take(g *gateway.Guilds) (written int) {
	for name, part := range g.Export() {
		if part == nil {
			delete(s, name)
			continue
		}
		s[name] = part
		written += len(part)
	}
	return written
}

// restored is what another run makes of the parts.
func (s savedParts) restored(limit int64) *gateway.Guilds {
	g := gateway.NewGuilds(gateway.IntentsAll)
	g.Import(maps.Clone(s), time.Now())
	g.KeepAll(limit, func() {})
	g.Changed(gateway.Status{State: gateway.Connected, Resumed: true})
	return g
}

// pictureOf is everything that can be seen of guilds.
func pictureOf(t interface{ Fatal(...any) }, g *gateway.Guilds) string {
	var out strings.Builder
	snapshot := g.Snapshot()
	fmt.Fprintf(&out, "ready %t %s settled %t\n", g.HasReady(), snapshot.Ready, g.Settled())
	for _, guild := range snapshot.Guilds {
		fmt.Fprintf(&out, "%d available %t members %d complete %t\n", guild.ID, guild.Available(), guild.Members, guild.Complete)
		if !guild.Available() {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(guild.Create(1001, true, nil), &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			list, ok := fields[name].([]any)
			if ok { // in no order
				lines := make([]string, len(list))
				for i, element := range list {
					lines[i] = fmt.Sprint(element)
				}
				slices.Sort(lines)
				fields[name] = lines
			}
			fmt.Fprintln(&out, name, fields[name])
		}
	}
	for id := range uint64(5) {
		for name, of := range map[string]func(uint64, time.Duration) (json.RawMessage, bool){"roles": g.Roles, "channels": g.Channels} {
			data, ok := of(id, 0)
			fmt.Fprintln(&out, id, name, ok, len(data), g.Has(id))
		}
	}
	lines := strings.Split(out.String(), "\n")
	slices.Sort(lines[len(lines)-11:]) // the last ones come from a map
	return strings.Join(lines, "\n")
}

// TestSavedGuilds: at whatever moment a run ends, the next one has what was known at
// the last Export, and after the events since then what the first one knew.
func TestSavedGuilds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1<<31, 0)
		g := gateway.NewGuilds(gateway.IntentsAll)
		g.KeepAll(1<<20, func() {})
		ready := gateway.Status{State: gateway.Connected, Ready: json.RawMessage(`{"user":{"id":"9"},"guilds":[{"id":"1","unavailable":true},{"id":"2","unavailable":true}]}`)}
		g.Changed(ready)
		parts := make(savedParts)
		var since []gateway.Dispatch // the last Export
		id := func(from, n int) int { return rapid.IntRange(from, from+n-1).Draw(t, "id") }
		object := func(format string, args ...any) json.RawMessage {
			return json.RawMessage(fmt.Sprintf(format, args...))
		}
		dispatch := func(kind string, data json.RawMessage) {
			d := gateway.Dispatch{Type: kind, Data: data, Time: now}
			g.Dispatch(d)
			since = append(since, d)
		}
		export := func() {
			parts.take(g)
			since = nil
		}
		next := func(parts savedParts, since []gateway.Dispatch) *gateway.Guilds {
			g := parts.restored(1 << 20)
			for _, d := range since { // Discord sends them again
				g.Dispatch(d)
			}
			return g
		}
		for i := range 2 {
			dispatch("GUILD_CREATE", json.RawMessage(create(1+i, 2, 5)))
		}
		export()
		t.Repeat(map[string]func(*rapid.T){
			"guild": func(t *rapid.T) {
				dispatch("GUILD_CREATE", json.RawMessage(create(id(1, 3), id(0, 4), rapid.SampledFrom([]int{0, 1, 5, 40}).Draw(t, "members"))))
			},
			"outage": func(*rapid.T) { dispatch("GUILD_DELETE", object(`{"id":"%d","unavailable":true}`, id(1, 3))) },
			"leave":  func(*rapid.T) { dispatch("GUILD_DELETE", object(`{"id":"%d"}`, id(1, 3))) },
			"rename": func(*rapid.T) { dispatch("GUILD_UPDATE", object(`{"id":"%d","name":"n%d"}`, id(1, 3), id(0, 9))) },
			"role": func(*rapid.T) {
				dispatch("GUILD_ROLE_CREATE", object(`{"guild_id":"%d","role":{"id":"%d","name":"r"}}`, id(1, 3), id(7, 4)))
			},
			"channel": func(*rapid.T) {
				dispatch("CHANNEL_CREATE", object(`{"guild_id":"%d","id":"%d"}`, id(1, 3), id(100, 9)))
			},
			"delete channel": func(*rapid.T) {
				dispatch("CHANNEL_DELETE", object(`{"guild_id":"%d","id":"%d"}`, id(1, 3), id(100, 9)))
			},
			"thread": func(*rapid.T) {
				dispatch("THREAD_CREATE", object(`{"guild_id":"%d","id":"%d","parent_id":"%d"}`, id(1, 3), id(50, 4), id(100, 9)))
			},
			"sync": func(*rapid.T) { dispatch("THREAD_LIST_SYNC", object(`{"guild_id":"%d","threads":[]}`, id(1, 3))) },
			"join": func(*rapid.T) {
				dispatch("GUILD_MEMBER_ADD", object(`{"guild_id":"%d","user":{"id":"%d"}}`, id(1, 3), id(1000, 9)))
			},
			"update": func(*rapid.T) {
				dispatch("GUILD_MEMBER_UPDATE", object(`{"guild_id":"%d","user":{"id":"%d"},"nick":"n%d"}`, id(1, 3), id(1000, 9), id(0, 9)))
			},
			"part": func(*rapid.T) {
				dispatch("GUILD_MEMBER_REMOVE", object(`{"guild_id":"%d","user":{"id":"%d"}}`, id(1, 3), id(1000, 9)))
			},
			"voice": func(*rapid.T) {
				dispatch("VOICE_STATE_UPDATE", object(`{"guild_id":"%d","user_id":"%d","channel_id":%s}`, id(1, 3), id(1000, 9),
					rapid.SampledFrom([]string{"null", `"100"`}).Draw(t, "channel")))
			},
			"save":       func(*rapid.T) { export() },
			"save again": func(*rapid.T) { export() },
			"begin again": func(*rapid.T) {
				g.Changed(ready)
				export() // as a change of the state is saved
			},
			"restart": func(*rapid.T) { g = next(parts, since) },
			"": func(t *rapid.T) {
				if got, want := pictureOf(t, next(parts, since)), pictureOf(t, g); got != want {
					t.Fatalf("after a restart\n%s\nbefore\n%s", got, want)
				}
			},
		})
	})
}

// TestSavedGuildsWithoutKeepAll: what a run does not keep current is deleted, so that a
// later one does not take it for true.
func TestSavedGuildsWithoutKeepAll(t *testing.T) {
	g := everythingOf(t, 1<<20, new(int))
	g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: json.RawMessage(create(1, 2, 3))})
	g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: json.RawMessage(create(2, 2, 3))})
	parts := make(savedParts)
	parts.take(g)
	if !parts.restored(1 << 20).HasReady() {
		t.Fatal("not restored")
	}
	for name := range parts {
		if broken := maps.Clone(parts); strings.Contains(name, " ") || name == "ready" { // one part is lost
			broken[name] = []byte("?")
			next := broken.restored(1 << 20)
			if next.HasReady() {
				t.Errorf("restored without %s", name)
			}
			if broken.take(next); len(broken) > 2 {
				t.Errorf("without %s there are left %v", name, slices.Collect(maps.Keys(broken)))
			}
		}
	}
	without := gateway.NewGuilds(gateway.IntentsAll)
	without.Import(maps.Clone(parts), time.Now())
	parts.take(without)
	if left := slices.Sorted(maps.Keys(parts)); !slices.Equal(left, []string{"1", "2"}) {
		t.Errorf("there are left %v", left)
	}
	without.Changed(gateway.Status{State: gateway.Connected, Resumed: true})
	if channels, ok := without.Channels(1, 0); !ok || !strings.Contains(string(channels), `"c1"`) {
		t.Errorf("channels are %s", channels)
	}
}

// TestSavedGuildsThatNoLongerFit: objects that do not fit a smaller limit are dropped permanently.
func TestSavedGuildsThatNoLongerFit(t *testing.T) {
	g := everythingOf(t, 1<<20, new(int))
	g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: json.RawMessage(create(1, 2, 300))})
	g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: json.RawMessage(create(2, 2, 300))})
	parts := make(savedParts)
	parts.take(g)
	small := parts.restored(40_000)
	want := pictureOf(t, small)
	parts.take(small)
	if got := pictureOf(t, parts.restored(1<<20)); got != want {
		t.Errorf("what did not fit has come back:\n%s\nwant\n%s", got, want)
	}
}

// TestSavedGuildsCost: a change rewrites a part of the guild, not all of it.
func TestSavedGuildsCost(t *testing.T) {
	g := everythingOf(t, 100<<20, new(int))
	var members []string
	for i := range 50_000 {
		members = append(members, fmt.Sprintf(`{"user":{"id":"%d","username":"u%d"},"roles":[]}`, uint64(1+i)<<22, i))
	}
	g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: json.RawMessage(
		`{"id":"1","name":"g","roles":[],"channels":[],"member_count":50000,"members":[` + strings.Join(members, ",") + `]}`)})
	parts := make(savedParts)
	whole := parts.take(g)
	if again := parts.take(g); again != 0 {
		t.Errorf("%d bytes were written without a change", again)
	}
	g.Dispatch(gateway.Dispatch{Type: "GUILD_MEMBER_UPDATE", Data: json.RawMessage(fmt.Sprintf(`{"guild_id":"1","user":{"id":"%d"},"nick":"n"}`, uint64(7)<<22))})
	if change := parts.take(g); change == 0 || change > whole/20 {
		t.Errorf("a change of one member had %d bytes written of %d", change, whole)
	}
	for range 3 {
		g = parts.restored(100 << 20)
		g.Dispatch(gateway.Dispatch{Type: "GUILD_MEMBER_REMOVE", Data: json.RawMessage(fmt.Sprintf(`{"guild_id":"1","user":{"id":"%d"}}`, uint64(7)<<22))})
		if change := parts.take(g); change > whole/20 {
			t.Errorf("after a restart a change of one member had %d bytes written of %d", change, whole)
		}
		if got, want := pictureOf(t, parts.restored(100<<20)), pictureOf(t, g); got != want {
			t.Fatal("the guild is not what it was")
		}
	}
}

// BenchmarkSavedGuilds shows what it takes to export 100 guilds with 500 channels and 500
// members each, what their parts take compressed, how long the next run takes them over,
// and the memory of that, with a snapshot of the moment.
func BenchmarkSavedGuilds(b *testing.B) {
	g := gateway.NewGuilds(gateway.IntentsAll)
	g.KeepAll(150<<20, func() {})
	ready := gateway.Status{State: gateway.Connected, Ready: json.RawMessage(`{"guilds":[]}`)}
	guilds := make([]json.RawMessage, 100)
	for i := range guilds {
		guilds[i] = realistic(i)
	}
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			g.Changed(ready)
			for _, guild := range guilds {
				g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: guild})
			}
			b.StartTimer()
			b.ReportMetric(float64(make(savedParts).take(g))/(1<<20), "MiB")
		}
	})
	g.Changed(ready)
	for _, guild := range guilds {
		g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: guild})
	}
	parts := make(savedParts)
	parts.take(g)
	b.Run("compress", func(b *testing.B) {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		defer encoder.Close()
		for b.Loop() {
			n := 0
			for _, part := range parts {
				n += len(encoder.EncodeAll(part, nil))
			}
			b.ReportMetric(float64(n)/(1<<20), "MiB")
		}
	})
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			before := inUse()
			b.StartTimer()
			g := parts.restored(150 << 20)
			snapshot := g.Snapshot()
			b.StopTimer()
			b.ReportMetric(float64(inUse()-before)/(1<<20), "MiB")
			b.StartTimer()
			if len(snapshot.Guilds) != 100 {
				b.Fatal("not restored")
			}
			runtime.KeepAlive(g)
		}
	})
}
