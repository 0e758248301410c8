package api_test

import (
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/api"
)

// TestWaitingBucketIsReported: a bucket that must wait after a refusal is reported although no
// call waits for it.
func TestWaitingBucketIsReported(t *testing.T) {
	now := time.Now()
	status := api.RateLimitStatus(discord.RateLimits{At: now, Tokens: []ratelimit.TokenStatus{{
		Token: discord.BotToken,
		Buckets: []ratelimit.Bucket{
			{Routes: []string{"GET /channels/{channel_id}"}, Limit: 5, Remaining: 5, BlockedUntil: now.Add(-time.Second)},
			{Routes: []string{"PATCH /channels/{channel_id}"}, Limit: 5, Remaining: 5, BlockedUntil: now.Add(9 * time.Minute)},
		},
	}}})
	held := make(map[string]time.Duration)
	for _, b := range status.GetBuckets() {
		if b.GetBlockedFor() != nil {
			held[b.GetRoutes()[0]] = b.GetBlockedFor().AsDuration()
		}
	}
	if len(held) != 1 || held["PATCH /channels/{channel_id}"] != 9*time.Minute {
		t.Errorf("held are %v", held)
	}
}
