package server

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
	"discordproxy/server/internal/store"
)

// TestSkewedClocks: a server whose clock is minutes ahead of the one before, or behind it,
// waits for as long as the limits that the other one has saved demand.
func TestSkewedClocks(t *testing.T) {
	const (
		database = time.Hour // after the moment at which clocks of tests begin
		limit    = time.Minute
		between  = 10 * time.Second // from one server to the next
	)
	request := ratelimit.Request{Route: ratelimit.RouteOf(http.MethodGet, "/channels/1", "", time.Now())}
	for _, first := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
		for _, second := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
			parts := make(map[string]store.Saved)
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(database + first)
				l, err := ratelimit.New(ratelimit.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				permit, err := l.Acquire(t.Context(), request)
				if err != nil {
					t.Fatal(err)
				}
				permit.Begin()
				permit.Complete(ratelimit.Response{Status: http.StatusOK, Header: http.Header{
					"X-Ratelimit-Bucket": {"b"}, "X-Ratelimit-Limit": {"1"}, "X-Ratelimit-Remaining": {"0"},
					"X-Ratelimit-Reset-After": {strconv.Itoa(int(limit.Seconds()))},
				}})
				permit.Done()
				d := &data{skew: func() time.Duration { return first }}
				saved, _ := (&savedLimits{limiter: l, data: d}).save()
				for name, value := range saved {
					parts[name] = store.Saved{Data: value, At: d.now()}
				}
			})
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(database + between + second)
				l, err := ratelimit.New(ratelimit.Config{})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				s := savedState{parts, true, second}.local()
				l.Import(s.limits(), s.clean)
				if len(parts) == 0 {
					t.Fatal("nothing was saved")
				}
				for name, part := range s.parts {
					if age := time.Since(part.At); age != between {
						t.Errorf("clocks %v and %v ahead: %s is %v old", first, second, name, age)
					}
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if _, err := l.Acquire(ctx, request); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(began); waited < limit-between || waited > limit-between+time.Second {
					t.Errorf("clocks %v and %v ahead: waited %v, want %v", first, second, waited, limit-between)
				}
			})
		}
	}
}
