//go:build !unix

package serve

// openNonblock is not needed where pipes are no files.
const openNonblock = 0
