package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is what lies between the server and Discord.
type network struct {
	proxy  *toxiproxy.Proxy
	struck map[string]int // faults by kind; to be read when breakAtRandom has ended
}

func newNetwork(upstream string) (*network, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some of its parts log by themselves
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &network{proxy: toxiproxy.NewProxy(api, "discord", "127.0.0.1:0", upstream), struck: make(map[string]int)}
	if err := n.proxy.Start(); err != nil {
		return nil, fmt.Errorf("start toxiproxy: %w", err)
	}
	return n, nil
}

func (n *network) address() string { return n.proxy.Listen }

func (n *network) close() { n.proxy.Stop() }

type attributes map[string]int

// toxics are faults with their attributes at random. Times are in
// milliseconds, rates in KB a second.
var toxics = map[string]func(r *rand.Rand) attributes{
	"latency":    func(r *rand.Rand) attributes { return attributes{"latency": 20 + r.IntN(1500), "jitter": r.IntN(20)} },
	"bandwidth":  func(r *rand.Rand) attributes { return attributes{"rate": 1 + r.IntN(4)} },
	"slow_close": func(r *rand.Rand) attributes { return attributes{"delay": r.IntN(2000)} },
	"timeout":    func(r *rand.Rand) attributes { return attributes{"timeout": r.IntN(2) * r.IntN(2000)} },
	"reset_peer": func(r *rand.Rand) attributes { return attributes{"timeout": r.IntN(200)} },
	"limit_data": func(r *rand.Rand) attributes { return attributes{"bytes": r.IntN(5000)} },
	"slicer": func(r *rand.Rand) attributes {
		return attributes{"average_size": 20, "size_variation": 10, "delay": r.IntN(20_000)}
	},
}

// breakAtRandom lets faults come and go until ctx has ended, and heals the
// network then. About half of the time nothing is wrong.
func (n *network) breakAtRandom(ctx context.Context, r *rand.Rand) {
	kinds := slices.Sorted(maps.Keys(toxics))
	for wait(ctx, r, time.Second) {
		if i := r.IntN(len(kinds) + 1); i < len(kinds) {
			n.poison(ctx, r, kinds[i])
		} else {
			n.struck["away"]++
			n.proxy.Stop()
			wait(ctx, r, 2*time.Second)
			if err := n.proxy.Start(); err != nil {
				panic(err) // nobody else may take its port
			}
		}
	}
}

// poison keeps a toxic in the network for a while.
func (n *network) poison(ctx context.Context, r *rand.Rand, kind string) {
	n.struck[kind]++
	toxic, err := json.Marshal(map[string]any{
		"name": kind, "type": kind, "stream": []string{"upstream", "downstream"}[r.IntN(2)],
		"toxicity": 0.2 + 0.8*r.Float64(), "attributes": toxics[kind](r),
	})
	if err == nil {
		_, err = n.proxy.Toxics.AddToxicJson(bytes.NewReader(toxic))
	}
	if err != nil {
		panic(fmt.Errorf("toxiproxy does not take %s: %w", toxic, err))
	}
	wait(ctx, r, 2*time.Second)
	if err := n.proxy.Toxics.RemoveToxic(context.WithoutCancel(ctx), kind); err != nil {
		panic(err)
	}
}

// wait lasts at most as long as given, and reports whether ctx has not ended.
func wait(ctx context.Context, r *rand.Rand, most time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(r.Int64N(int64(most)))):
		return true
	}
}

// counts writes how often each has happened.
func counts(of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(parts, ", ")
}
