//go:build !linux

package serve

import "time"

// monotonic is for systemd, which is not here.
func monotonic() (time.Duration, bool) { return 0, false }
