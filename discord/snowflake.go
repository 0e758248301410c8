package discord

import (
	"strconv"
	"time"
)

// snowflake writes an id as it stands in a URL.
func snowflake(id uint64) string { return strconv.FormatUint(id, 10) }

// Created returns when the thing with a snowflake id was made.
// https://discord.com/developers/docs/reference#snowflakes
func Created(id uint64) time.Time {
	const epoch = 1420070400000 // the first millisecond of 2015
	return time.UnixMilli(int64(id>>22) + epoch)
}
