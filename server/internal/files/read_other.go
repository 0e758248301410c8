//go:build !unix

package files

// openNonblock is not needed where pipes are no files.
const openNonblock = 0
