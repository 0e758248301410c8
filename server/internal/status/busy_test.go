package status

import (
	"testing"
	"time"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/durationpb"
)

// TestBusy: watchers see the buckets that have something to do or hold
// calls back, and of no other.
func TestBusy(t *testing.T) {
	some := durationpb.New(time.Second)
	kept := busy(&pb.GetRateLimitStatusResponse{Buckets: []*pb.GetRateLimitStatusResponse_Bucket{
		{Hash: "waiting", Waiting: 1}, {Hash: "in flight", InFlight: 1}, {Hash: "filling", ResetAfter: some}, {Hash: "held", BlockedFor: some}, {Hash: "idle"},
	}}).GetBuckets()
	if n := len(kept); n != 4 || kept[3].GetHash() != "held" {
		t.Errorf("%v is shown", kept)
	}
}
