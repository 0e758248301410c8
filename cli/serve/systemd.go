package serve

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd notifies systemd that the server listens, as often as the unit
// asks for that it lives, and when ctx has ended that it ends, which may take
// grace. Without systemd it does nothing. The server is to call stop when it has
// ended.
// https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
func notifySystemd(ctx context.Context, grace time.Duration, logger *slog.Logger) (stop func()) {
	listens, err := daemon.SdNotify(false, daemon.SdNotifyReady)
	if err != nil {
		logger.WarnContext(ctx, "failed to notify systemd that the server is ready", "error", err)
	}
	if !listens {
		return func() {}
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		logger.WarnContext(ctx, "failed to notify the watchdog of systemd", "error", err)
	}
	ended, notified := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(notified)
		var tick <-chan time.Time
		if interval > 0 {
			ticker := time.NewTicker(interval / 2)
			defer ticker.Stop()
			tick = ticker.C
		}
		stopping := ctx.Done()
		for {
			select {
			case <-stopping:
				stopping = nil
				// systemd's usual patience is less than the usual grace.
				_, _ = daemon.SdNotify(false, fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (grace+lastWords).Microseconds()))
			case <-tick:
				_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		select {
		case <-notified:
		case <-time.After(time.Second):
			// systemd does not read: it must not keep the process from ending.
		}
	}
}

// lastWords is more than the server needs to end after the grace.
const lastWords = 10 * time.Second

// notifyReloading notifies systemd that the server reloads, and done that it has. Without
// systemd both do nothing.
func notifyReloading() (done func()) {
	state := daemon.SdNotifyReloading
	if now, ok := monotonic(); ok {
		state += fmt.Sprintf("\nMONOTONIC_USEC=%d", now.Microseconds())
	}
	_, _ = daemon.SdNotify(false, state)
	return func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) }
}
