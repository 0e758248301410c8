package status

import (
	"maps"
	"time"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	slotLength = 10 * time.Second
	slotCount  = int64(time.Hour / slotLength)
)

// slot is what ended in ten seconds.
type slot struct {
	index   int64 // slots since 1970
	changed int64 // number of the latest call in it
	calls   map[string]int32
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(slotLength/time.Second) }

// slots are those of the last hour, each at its index modulo their number.
type slots [slotCount]slot

func (s *slots) add(at time.Time, code string, number int64) {
	index := slotOf(at)
	c := &s[index%slotCount]
	if c.index != index {
		*c = slot{index: index, calls: make(map[string]int32)}
	}
	c.calls[code]++
	c.changed = number
}

// after returns the slots of the hour before now that hold a call with a
// number above n, oldest first.
func (s *slots) after(n int64, now time.Time) []*pb.WatchStatusResponse_Slot {
	var out []*pb.WatchStatusResponse_Slot
	last := slotOf(now)
	for index := last - slotCount + 1; index <= last; index++ {
		if c := &s[index%slotCount]; c.index == index && c.changed > n {
			out = append(out, &pb.WatchStatusResponse_Slot{
				Start: timestamppb.New(time.Unix(index*int64(slotLength/time.Second), 0)),
				Calls: maps.Clone(c.calls),
			})
		}
	}
	return out
}

// rate is the number of calls in a second, of the current slot and the one
// before.
func (s *slots) rate(now time.Time) float64 {
	current := slotOf(now)
	var n int32
	for index := current - 1; index <= current; index++ {
		if c := &s[index%slotCount]; c.index == index {
			for _, calls := range c.calls {
				n += calls
			}
		}
	}
	begin := time.Unix((current-1)*int64(slotLength/time.Second), 0)
	return float64(n) / now.Sub(begin).Seconds()
}
