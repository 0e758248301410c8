package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd tells systemd that the server listens, that it ends, and, as
// often as the unit asks for, that it lives. Without systemd it does nothing.
// https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
func notifySystemd(ctx context.Context, parts *sync.WaitGroup, logger *slog.Logger) {
	notified, err := daemon.SdNotify(false, daemon.SdNotifyReady)
	if err != nil {
		logger.Warn("systemd could not be told that the server is ready", "error", err)
	}
	if !notified {
		return
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		logger.Warn("the watchdog of systemd is not answered", "error", err)
	}
	parts.Go(func() {
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
				_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
				return
			case <-tick:
				_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			}
		}
	})
}
