package server

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"discordproxy/server/internal/outbox"
)

// OutboxConfig bounds the outbox, which needs a data folder or database.
type OutboxConfig struct {
	// MaxDeliveries limits the deliveries that have not ended, and the records of
	// those that have. 0 means DefaultOutboxDeliveries.
	MaxDeliveries int64
	// MaxBytes limits the size of all requests that are kept. 0 means
	// DefaultOutboxBytes.
	MaxBytes int64
	// Keep is how long the record of a delivery is kept after its end. 0 means
	// DefaultOutboxKeep.
	Keep time.Duration
}

// Defaults of OutboxConfig.
const (
	DefaultOutboxDeliveries = outbox.DefaultMaxDeliveries
	DefaultOutboxBytes      = outbox.DefaultMaxBytes
	DefaultOutboxKeep       = outbox.DefaultKeep
)

// openOutbox opens the outbox in the data folder or database. It is nil without one.
func (t *tenure) openOutbox(ctx context.Context) error {
	if t.data == nil {
		return nil
	}
	records, err := t.data.store.Outbox(ctx, t.data.bot)
	if err != nil {
		return fmt.Errorf("cannot open the outbox: %w", err)
	}
	c := t.bot.config.Outbox
	t.outbox = outbox.New(outbox.Config{
		Records: records, MaxDeliveries: c.MaxDeliveries, MaxBytes: c.MaxBytes, Keep: c.Keep, Logger: t.bot.config.Logger,
		Usable: func() error { //nolint:contextcheck // it asks, and does nothing
			return cmp.Or(t.data.leads(), t.login.ready(), t.up.client.Usable())
		},
	})
	t.unwatch = append(t.unwatch, t.bot.metrics.WatchOutbox(t.outbox))
	return nil
}

// runOutbox makes deliveries until ctx ends.
func (t *tenure) runOutbox(ctx context.Context) {
	if t.outbox != nil {
		t.outbox.Run(ctx, t.maker)
	}
}

// outboxWarnings returns what an admin should know of the outbox.
func (t *tenure) outboxWarnings() []string {
	if t.outbox != nil && t.outbox.Failing() != nil {
		return []string{"failed to write the outbox; deliveries wait"}
	}
	return nil
}
