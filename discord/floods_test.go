package discord

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"
)

// filler is a body of n bytes between two texts, which takes no memory.
func filler(before string, n int64, after string) io.Reader {
	return io.MultiReader(strings.NewReader(before), io.LimitReader(fill{}, n), strings.NewReader(after))
}

type fill struct{}

func (fill) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte("x"), len(p)))
	return len(p), nil
}

// heapPeak returns by how many MB the heap grows at most while work runs.
func heapPeak(work func()) int {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() int {
		metrics.Read(sample)
		return int(sample[0].Value.Uint64() >> 20)
	}
	runtime.GC()
	before, peak := heap(), 0
	done, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			peak = max(peak, heap())
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	work()
	close(done)
	<-sampled
	return peak - before
}

// TestFloodOfAnswers: any number of 30 MB responses takes a bounded amount of memory, and
// errors take little.
func TestFloodOfAnswers(t *testing.T) {
	for _, tt := range []struct {
		name          string
		status, calls int
		mostMB        int
	}{
		{"error", http.StatusForbidden, 40, 150},
		{"success", http.StatusOK, 20, 700},
	} {
		client := sized(t, func() (int, io.Reader) { return tt.status, filler(`{"message":"`, 30<<20, `","code":7}`) })
		longest := 0
		grown := heapPeak(func() {
			var mu sync.Mutex
			var calls sync.WaitGroup
			for range tt.calls {
				calls.Go(func() {
					by := &Caller{Memory: new(AnswerMemory)}
					defer by.Memory.Release()
					data, err := client.Call(t.Context(), by, anyAnswer, nil)
					if e := (*Error)(nil); errors.As(err, &e) {
						mu.Lock()
						defer mu.Unlock()
						longest = max(longest, len(e.Error()))
					} else if err != nil || len(data) < 30<<20 {
						t.Errorf("%d bytes, %v", len(data), err)
					}
				})
			}
			calls.Wait()
		})
		t.Logf("figure: %d answers of 30 MB with status %d at the same time: the heap grew by %d MB, the longest error for the log has %d bytes", tt.calls, tt.status, grown, longest)
		if grown > tt.mostMB || longest > 3000 || (longest > 0) != (tt.status >= 400) {
			t.Errorf("%s: %d MB, %d bytes", tt.name, grown, longest)
		}
	}
}
