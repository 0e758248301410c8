package server

import "testing"

// TestEmptied: memory is returned once after each fall of a large queue.
func TestEmptied(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name   string
		queued []int64 // MiB, each second
		want   []int   // seconds at which memory is returned
	}{
		{"small", []int64{0, 60, 0, 0, 0}, nil},
		{"large, cancelled", []int64{0, 4000, 0, 0, 0, 0}, []int{3}},
		{"large, drained", []int64{4000, 3000, 2000, 1000, 999, 500, 0, 0, 0}, []int{5, 7}},
		{"not long enough", []int64{4000, 0, 4000, 0, 4000}, nil},
		{"twice", []int64{400, 0, 0, 400, 0, 0}, []int{2, 5}},
	} {
		var e emptied
		var got []int
		for i, n := range c.queued {
			if e.tick(n * mb) {
				got = append(got, i)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: returned at %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: returned at %v, want %v", c.name, got, c.want)
			}
		}
	}
}
