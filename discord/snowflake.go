package discord

import (
	"strconv"
	"time"

	"discordproxy/discord/ratelimit"
)

// snowflake writes an id as it stands in a URL.
func snowflake(id uint64) string { return strconv.FormatUint(id, 10) }

// Created returns when the thing with a snowflake id was made.
func Created(id uint64) time.Time { return ratelimit.Created(id) }
