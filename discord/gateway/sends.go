package gateway

import (
	"slices"
	"time"

	"discordproxy/discord/gateway/wire"
)

// sendWindow is the time in which a connection may send wire.MaxSends payloads.
const sendWindow = time.Minute

// sends counts the frames that a connection has sent, to stay within Discord's
// limit. The zero value is one that has sent nothing. It is for one goroutine.
type sends struct{ times []time.Time }

// next returns when one more frame may be sent such that afterwards spare frames
// are left of the limit.
func (s *sends) next(now time.Time, spare int) time.Time {
	s.times = slices.DeleteFunc(s.times, func(t time.Time) bool { return now.Sub(t) >= sendWindow })
	over := len(s.times) - (wire.MaxSends - spare - 1)
	if over <= 0 {
		return now
	}
	return s.times[min(over, len(s.times))-1].Add(sendWindow)
}

// sent counts a frame.
func (s *sends) sent(now time.Time) { s.times = append(s.times, now) }
