package status

// recent keeps the last things of a kind, numbered from 1.
type recent[T any] struct {
	size  int
	items []T // a ring once it is full
	count int64
}

// add keeps item, and forgets the oldest when there is no room.
func (r *recent[T]) add(item T) {
	if len(r.items) < r.size {
		r.items = append(r.items, item)
	} else {
		r.items[r.count%int64(r.size)] = item
	}
	r.count++
}

// between returns the items with a number above n, up to last, that are still there,
// oldest first.
func (r *recent[T]) between(n, last int64) []T {
	first := max(n, r.count-int64(len(r.items)))
	if first >= last {
		return nil
	}
	items := make([]T, 0, last-first)
	for i := first; i < last; i++ {
		items = append(items, r.items[i%int64(r.size)])
	}
	return items
}
