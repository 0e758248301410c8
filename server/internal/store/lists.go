package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DeliveryFilter says which deliveries are wanted. Fields that are zero match all.
type DeliveryFilter struct {
	States       []DeliveryState
	Caller       string
	Target       string
	Since, Until time.Time // when they were enqueued
	EndedBefore  time.Time
}

// where returns a filter as a condition with the arguments after those given.
func (f DeliveryFilter) where(args []any) (string, []any) {
	var and []string
	add := func(condition string, value any) {
		args = append(args, value)
		and = append(and, fmt.Sprintf(condition, len(args)))
	}
	if len(f.States) > 0 {
		var in []string
		for _, s := range f.States {
			in = append(in, fmt.Sprint(int(s)))
		}
		and = append(and, "state IN ("+strings.Join(in, ", ")+")")
	}
	if f.Caller != "" {
		add("caller = $%d", f.Caller)
	}
	if f.Target != "" {
		add("target = $%d", f.Target)
	}
	if !f.Since.IsZero() {
		add("enqueued_at >= $%d", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		add("enqueued_at < $%d", f.Until.UnixMilli())
	}
	if !f.EndedBefore.IsZero() {
		add("finished_at < $%d", f.EndedBefore.UnixMilli())
	}
	if len(and) == 0 {
		return "", args
	}
	return " AND " + strings.Join(and, " AND "), args
}

// List returns up to limit deliveries, the newest first, those before a place if
// that is not 0.
func (o *Outbox) List(ctx context.Context, f DeliveryFilter, before int64, limit int) ([]Delivery, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	if f.byTime() {
		newest, args := f.newestQuery([]any{o.bot, before, limit})
		if all, err := o.query(ctx, newest, args...); err != nil || len(all) == limit {
			return all, err
		}
	}
	query, args := f.query([]any{o.bot, before, limit})
	return o.query(ctx, query, args...)
}

// listed is how a list begins. Its arguments are the bot, the place and the limit.
const (
	listed = "SELECT " + deliveryColumns + " FROM deliveries WHERE bot = $1 AND seq < $2"
	page   = " ORDER BY seq DESC LIMIT $3"
)

// byTime reports whether nothing but the times leads to an index.
func (f DeliveryFilter) byTime() bool {
	return f.Caller == "" && !f.undelivered() && (!f.Since.IsZero() || !f.Until.IsZero())
}

// undelivered reports whether only deliveries are wanted that are not delivered, which an
// index has by state.
func (f DeliveryFilter) undelivered() bool {
	return len(f.States) > 0 && !slices.Contains(f.States, Delivered)
}

// newestAtOnce limits the deliveries that newestQuery reads.
const newestAtOnce = 1000

// newestQuery returns a query for those of the newest deliveries that are wanted. If they
// are a whole page, it is the one of query: many of them are in the times that are
// wanted, and an index by time would have to sort them all.
func (f DeliveryFilter) newestQuery(args []any) (string, []any) {
	condition, args := f.where(args)
	newest := fmt.Sprintf("%s ORDER BY seq DESC LIMIT %d", listed, newestAtOnce)
	return "SELECT * FROM (" + newest + ") AS newest WHERE seq < $2" + condition + page, args
}

// query returns a query whose cost depends on how many deliveries are wanted, not on how
// many there are.
func (f DeliveryFilter) query(args []any) (string, []any) {
	condition, args := f.where(args)
	switch {
	case f.byTime(): // seq + 0 is not what an index is in the order of
		return fmt.Sprintf("%s AND seq IN (SELECT seq FROM deliveries WHERE bot = $1 AND seq + 0 < $2%s ORDER BY seq + 0 DESC LIMIT $3)%s",
			listed, condition, page), args
	case f.undelivered():
		var each []string // in the order of the index
		for _, s := range slices.Compact(slices.Sorted(slices.Values(f.States))) {
			one := fmt.Sprintf("%s AND state <> 4 AND state = %d%s%s", listed, int(s), condition, page)
			each = append(each, fmt.Sprintf("SELECT * FROM (%s) AS of_state%d", one, int(s)))
		}
		return strings.Join(each, " UNION ALL ") + page, args
	}
	return listed + condition + page, args
}

// Results returns up to limit deliveries that have ended, those after a position in
// the order of their positions.
func (o *Outbox) Results(ctx context.Context, f DeliveryFilter, after int64, limit int) ([]Delivery, error) {
	condition, args := f.where([]any{o.bot, after, limit})
	return o.list(ctx, "bot = $1 AND position > $2 AND position > 0"+condition+" ORDER BY position LIMIT $3", args...)
}
