package ratelimit

// links are an item's neighbours in a list.
type links[T any] struct{ prev, next *T }

// list is a doubly linked list whose items hold their links themselves.
type list[T any] struct {
	first, last *T
	n           int
	links       func(*T) *links[T]
}

// push appends an item that is in no list of its links.
func (l *list[T]) push(item *T) { l.insert(item, l.last) }

// insert adds an item that is in no list of its links after another one, first
// if that is nil.
func (l *list[T]) insert(item, after *T) {
	at := l.links(item)
	if at.prev = after; after == nil {
		at.next, l.first = l.first, item
	} else {
		before := l.links(after)
		at.next, before.next = before.next, item
	}
	if at.next == nil {
		l.last = item
	} else {
		l.links(at.next).prev = item
	}
	l.n++
}

// remove takes an item out that is in the list.
func (l *list[T]) remove(item *T) {
	at := l.links(item)
	if at.prev == nil {
		l.first = at.next
	} else {
		l.links(at.prev).next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		l.links(at.next).prev = at.prev
	}
	*at = links[T]{}
	l.n--
}

// heap is a priority queue whose items know their place, so that they can be
// moved and removed.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(item T, index int) // index is -1 when the item leaves; may be nil
}

func (h *heap[T]) len() int { return len(h.items) }

func (h *heap[T]) top() T { return h.items[0] }

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.set(len(h.items)-1, item)
	h.up(len(h.items) - 1)
}

func (h *heap[T]) pop() T {
	item := h.items[0]
	h.remove(0)
	return item
}

// fix restores the order after the item at index i has changed.
func (h *heap[T]) fix(i int) {
	if !h.up(i) {
		h.down(i)
	}
}

func (h *heap[T]) remove(i int) {
	item, last := h.items[i], len(h.items)-1
	if i != last {
		h.set(i, h.items[last])
	}
	var none T
	h.items[last] = none
	h.items = h.items[:last]
	if i != last {
		h.fix(i)
	}
	if h.place != nil {
		h.place(item, -1)
	}
}

func (h *heap[T]) set(i int, item T) {
	h.items[i] = item
	if h.place != nil {
		h.place(item, i)
	}
}

func (h *heap[T]) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			break
		}
		h.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], h.items[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

func (h *heap[T]) swap(i, j int) {
	a, b := h.items[i], h.items[j]
	h.set(i, b)
	h.set(j, a)
}
