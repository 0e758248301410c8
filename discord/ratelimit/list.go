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
func (l *list[T]) push(item *T) {
	*l.links(item) = links[T]{prev: l.last}
	if l.last == nil {
		l.first = item
	} else {
		l.links(l.last).next = item
	}
	l.last = item
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
