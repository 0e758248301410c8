package server

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot returns how long the machine has run.
func sinceBoot() (bootTime, bool) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var since unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &since) != nil {
		return bootTime{}, false
	}
	return bootTime{strings.TrimSpace(string(id)), time.Duration(since.Nano())}, true
}
