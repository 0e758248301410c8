package history

import "unsafe"

// Bytes returns how much memory h takes.
func (h *History) Bytes() int {
	return (len(h.fine.slots) + len(h.coarse.slots)) * int(unsafe.Sizeof(slot{}))
}
