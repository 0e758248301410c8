//go:build !linux

package server

// sinceBoot reports that it is not known how long the machine has run.
func sinceBoot() (bootTime, bool) { return bootTime{}, false }
