package forward

import (
	"net/http"
	"strconv"
	"time"
)

const (
	grpcTimeout    = "Grpc-Timeout"
	connectTimeout = "Connect-Timeout-Ms"
)

// units are those of gRPC's timeouts.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
var units = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// timeoutOf returns the time that a request may take, if it says so.
func timeoutOf(h http.Header) (time.Duration, bool) {
	if text := h.Get(grpcTimeout); len(text) > 1 && len(text) <= 9 {
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
		unit := units[text[len(text)-1]]
		if err == nil && unit > 0 {
			return time.Duration(n) * unit, true //nolint:gosec // eight digits of hours fit
		}
	}
	if text := h.Get(connectTimeout); len(text) > 0 && len(text) <= 10 {
		if n, err := strconv.ParseUint(text, 10, 63); err == nil {
			return time.Duration(n) * time.Millisecond, true //nolint:gosec // ten digits fit
		}
	}
	return 0, false
}

// setTimeout replaces the time in a header that has one.
func setTimeout(h http.Header, left time.Duration) {
	ms := strconv.FormatInt(max(left.Milliseconds(), 1), 10)
	if h.Get(connectTimeout) != "" {
		h.Set(connectTimeout, ms)
	}
	if h.Get(grpcTimeout) == "" {
		return
	}
	if len(ms) > 8 {
		h.Set(grpcTimeout, strconv.FormatInt(int64(left/time.Second), 10)+"S")
		return
	}
	h.Set(grpcTimeout, ms+"m")
}
