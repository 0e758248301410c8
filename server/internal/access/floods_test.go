package access_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestFloodOfGuesses: 150 guesses together cost few hashes, the right key among
// them is refused once the address has none left, and somebody at another
// address gets in meanwhile. The figures are printed, not judged.
func TestFloodOfGuesses(t *testing.T) {
	slow, err := bcrypt.GenerateFromPassword([]byte("made up"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuarded(t, fmt.Sprintf("clients: [{name: human, hashes: [%q]}]", slow))
	var refused, unknown, in atomic.Int32
	var guesses sync.WaitGroup
	began := time.Now()
	for i := range 150 {
		guesses.Go(func() {
			text := fmt.Sprintf("Bearer guess %d", i)
			if i == 90 {
				text = "Bearer made up"
			}
			switch a := g.ask(t, "[2001:db8::"+fmt.Sprintf("%x", i+1)+"]:1", text); a.status {
			case http.StatusTooManyRequests:
				refused.Add(1)
			case http.StatusUnauthorized:
				unknown.Add(1)
			case http.StatusOK:
				in.Add(1)
			default:
				t.Errorf("a guess is answered %d %s", a.status, a.text)
			}
		})
	}
	asked := time.Now()
	if a := g.ask(t, "192.0.2.7:1", "Bearer made up"); a.status != http.StatusOK {
		t.Errorf("the right key at another address is answered %d %s", a.status, a.text)
	}
	waited := time.Since(asked)
	guesses.Wait()
	// Ten guesses are allowed together, the right one may be among them.
	if unknown.Load()+in.Load() > 11 || refused.Load() < 139 {
		t.Errorf("%d guesses were judged, %d let in, %d refused unseen", unknown.Load(), in.Load(), refused.Load())
	}
	t.Logf("figure: 150 simultaneous guesses from one network: %d hashes computed, %d refused without one, all answered in %v; the right key at another address waited %v",
		unknown.Load()+in.Load(), refused.Load(), time.Since(began).Round(time.Millisecond), waited.Round(time.Millisecond))
}
