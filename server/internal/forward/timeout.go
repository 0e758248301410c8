package forward

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	grpcTimeout    = "Grpc-Timeout"
	connectTimeout = "Connect-Timeout-Ms"
)

// units are those of gRPC's timeouts, the smallest first.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
const units = "numSMH"

var lengths = [...]time.Duration{time.Nanosecond, time.Microsecond, time.Millisecond, time.Second, time.Minute, time.Hour}

// timeoutOf returns the time that a request may take, if it says so. A time that is longer
// than a Duration is no limit.
func timeoutOf(h http.Header) (time.Duration, bool) {
	if text := h.Get(grpcTimeout); len(text) > 1 && len(text) <= 9 {
		n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
		i := strings.IndexByte(units, text[len(text)-1])
		if err == nil && i >= 0 && n <= uint64(math.MaxInt64/lengths[i]) {
			return time.Duration(n) * lengths[i], true //nolint:gosec // it fits
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
	left = max(left, time.Millisecond)
	if h.Get(connectTimeout) != "" {
		h.Set(connectTimeout, strconv.FormatInt(left.Milliseconds(), 10))
	}
	if h.Get(grpcTimeout) == "" {
		return
	}
	for i := strings.IndexByte(units, 'm'); i < len(units); i++ {
		if n := left / lengths[i]; n < 1e8 { // which has at most 8 digits
			h.Set(grpcTimeout, strconv.FormatInt(int64(n), 10)+units[i:i+1])
			return
		}
	}
}
