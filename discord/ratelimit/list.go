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
