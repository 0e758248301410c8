//go:build !unix

package storetest

import "syscall"

// unprivileged changes nothing: root's limits are those of Unix.
func unprivileged(string) (*syscall.SysProcAttr, error) { return nil, nil }
