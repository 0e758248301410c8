package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxBuckets is how many buckets GetRateLimitStatus shows.
const maxBuckets = 500

func (s *service) GetRateLimitStatus(context.Context, *pb.GetRateLimitStatusRequest) (*pb.GetRateLimitStatusResponse, error) {
	return RateLimitStatus(s.discord.RateLimits()), nil
}

// RateLimitStatus returns the limiter's state as a message of the API.
func RateLimitStatus(snapshot discord.RateLimits) *pb.GetRateLimitStatusResponse {
	until := func(t time.Time) *durationpb.Duration {
		if t.After(snapshot.At) {
			return durationpb.New(t.Sub(snapshot.At))
		}
		return nil
	}
	out := &pb.GetRateLimitStatusResponse{
		Time:            timestamppb.New(snapshot.At),
		Waiting:         int32(snapshot.Waiting),
		WaitingBytes:    snapshot.WaitingBytes,
		MaxWaiting:      int32(snapshot.MaxWaiting),
		MaxWaitingBytes: snapshot.MaxBytes,
		InFlight:        int32(snapshot.InFlight),
		KnownBuckets:    int32(snapshot.Known),
		GoneWebhooks:    int32(snapshot.GoneWebhooks),
		Global:          new(pb.GetRateLimitStatusResponse_Global),
		InvalidRequests: &pb.GetRateLimitStatusResponse_InvalidRequests{
			Count:    int32(snapshot.Invalid.Count),
			Limit:    int32(snapshot.Invalid.Limit),
			Refusing: snapshot.Invalid.Open,
		},
	}
	if snapshot.Ban.Active {
		out.Ban = &pb.GetRateLimitStatusResponse_Ban{RetryAfter: until(snapshot.Ban.Until), Reason: "Discord's edge refuses this address"}
	}
	for _, token := range snapshot.Tokens {
		if token.Token == discord.BotToken {
			out.TokenRefused = token.Refused
			out.Global = &pb.GetRateLimitStatusResponse_Global{
				Limit:     int32(token.Global.Limit),
				Used:      int32(token.Global.Used),
				PausedFor: until(token.Global.PausedUntil),
			}
		}
		for _, b := range token.Buckets {
			bucket := &pb.GetRateLimitStatusResponse_Bucket{
				Routes: b.Routes, Resource: b.Major, Hash: b.Hash, Window: b.Window,
				Limit:     int32(b.Limit),
				Remaining: int32(b.Remaining),
				InFlight:  int32(b.InFlight),
				Waiting:   int32(b.Waiting),
			}
			bucket.ResetAfter, bucket.BlockedFor = until(b.Reset), until(b.BlockedUntil)
			if b.EstimatedWait > 0 {
				bucket.EstimatedWait = durationpb.New(b.EstimatedWait)
			}
			out.Buckets = append(out.Buckets, bucket)
		}
	}
	slices.SortStableFunc(out.Buckets, func(a, b *pb.GetRateLimitStatusResponse_Bucket) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(b.InFlight, a.InFlight))
	})
	out.Buckets = out.Buckets[:min(len(out.Buckets), maxBuckets)]
	return out
}
