package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/lease"
)

// Statements that servers make in regular intervals, apart from what they save.
const (
	meetStatements   = 9 // of Store.MeetReplicas, with the begin and the end of its transaction
	followStatements = 1 // of replica.find
)

// rates are what one bot costs in a second.
type rates struct{ renewals, meetings, questions float64 }

// ratesOf returns the rates of a bot with one leader and other servers that follow.
func ratesOf(followers int) rates {
	second := func(interval time.Duration) float64 { return float64(time.Second) / float64(interval) }
	return rates{
		renewals:  second(lease.Interval),
		meetings:  second(meetInterval) * float64(1+followers),
		questions: second(inUseWait) * float64(followers),
	}
}

func (r rates) statements() float64 {
	return r.renewals + r.meetings*meetStatements + r.questions*followStatements
}

// moved returns how many of a number of bots a rendezvous of servers moves when one of them
// dies, and how many the busiest of the others has then. Each bot goes to the server with the
// largest number of both.
func moved(bots, servers int) (moves, most int) {
	place := func(bot, without int) (best int) {
		var largest uint64
		best = -1
		for server := range servers {
			// splitmix64
			x := uint64(bot)<<16 + uint64(server) + 0x9e3779b97f4a7c15 //nolint:gosec // small numbers
			x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
			x = (x ^ x>>27) * 0x94d049bb133111eb
			if x ^= x >> 31; server != without && (best < 0 || x > largest) {
				best, largest = server, x
			}
		}
		return best
	}
	load := make([]int, servers)
	for bot := range bots {
		before, after := place(bot, -1), place(bot, 0)
		if load[after]++; before != after {
			moves++
		}
	}
	for _, n := range load {
		most = max(most, n)
	}
	return moves, most
}

// TestScalingFigures: the figures in docs/scaling.md are those of the intervals in the code.
func TestScalingFigures(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), " ")
	var want []string
	for _, bots := range []int{1, 100, 1_000, 10_000} {
		r := ratesOf(1)
		n := float64(bots)
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s |", thousands(n), thousands(n*r.renewals),
			thousands(n*r.questions*followStatements), thousands(n*r.statements())))
	}
	moves, most := moved(10_000, 20)
	want = append(want, fmt.Sprintf("moves %d bots, and the busiest of the other 19 then leads %d", moves, most))
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("docs/scaling.md lacks %q", line)
		}
	}
}

// thousands writes a number with one digit after the point if it is small.
func thousands(n float64) string {
	if n < 100 && n != float64(int(n)) {
		return fmt.Sprintf("%.1f", n)
	}
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
