package access

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
)

// TestProving: one address never has both places, queues few, and another
// address is next; all addresses together queue few.
func TestProving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proving{running: make(map[string]bool)}
		began := make(chan string, 1000)
		enter := func(ctx context.Context, peer string) (end chan struct{}, result chan error) {
			end, result = make(chan struct{}), make(chan error, 1)
			go func() {
				leave, err := p.enter(ctx, peer)
				result <- err
				if err != nil {
					return
				}
				began <- peer
				<-end
				leave()
			}()
			synctest.Wait()
			return end, result
		}
		first, _ := enter(t.Context(), "enemy")
		refused := 0
		for range 149 {
			if _, result := enter(t.Context(), "enemy"); len(result) == 1 && <-result != nil {
				refused++
			}
		}
		if refused != 149-maxWaitingPeer || len(began) != 1 {
			t.Errorf("of 149 more %d were refused, %d began", refused, len(began))
		}
		honest, _ := enter(t.Context(), "honest")
		if len(began) != 2 {
			t.Error("another address waits")
		}
		close(honest)
		synctest.Wait()
		if len(p.running) != 1 || len(p.waiting) != maxWaitingPeer {
			t.Errorf("%d run, %d wait", len(p.running), len(p.waiting))
		}
		ctx, cancel := context.WithCancel(t.Context())
		second, _ := enter(t.Context(), "second")
		_, gone := enter(ctx, "gone")
		cancel()
		synctest.Wait()
		if <-gone == nil || len(p.waiting) != maxWaitingPeer {
			t.Errorf("one that left still waits: %d", len(p.waiting))
		}
		ends := []chan struct{}{first, second}
		for i := range 100 {
			if _, result := enter(t.Context(), fmt.Sprint("many ", i)); len(result) == 1 {
				<-result
			}
		}
		if len(p.waiting) != maxWaiting {
			t.Errorf("%d wait", len(p.waiting))
		}
		p.mu.Lock()
		p.waiting = nil
		p.mu.Unlock()
		for _, end := range ends {
			close(end)
		}
		synctest.Wait()
		if len(p.running) != 0 {
			t.Errorf("%d run", len(p.running))
		}
	})
}
