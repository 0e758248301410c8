package discord

import (
	"strconv"
	"time"

	"discordproxy/discord/ratelimit"
)

// snowflake writes an id for a URL.
func snowflake(id uint64) string { return strconv.FormatUint(id, 10) }

// Created returns when the object with this ID was created.
func Created(id uint64) time.Time { return ratelimit.Created(id) }

// SnowflakeAt returns the smallest ID of objects created at a time, or 0 for times before
// Discord's first ID.
func SnowflakeAt(t time.Time) uint64 { return uint64(max(t.Sub(Created(0)).Milliseconds(), 0)) << 22 }
