//go:build !unix

package cli

// openNonblock is not needed where pipes are no files.
const openNonblock = 0
