package forward

import (
	"net/http"
	"testing"
	"time"
)

// TestTimeout: a request goes on with the time that it has left, in a form that its protocol
// allows: gRPC has eight digits, however far away the deadline is.
func TestTimeout(t *testing.T) {
	const none = -1
	for _, test := range []struct {
		header, given string
		want          time.Duration
		sent          string
	}{
		{grpcTimeout, "20S", 20 * time.Second, "20000m"},
		{grpcTimeout, "99999999n", 99999999, "99m"},
		{grpcTimeout, "1n", 1, "1m"},
		{grpcTimeout, "99999999m", 99999999 * time.Millisecond, "99999999m"},
		{grpcTimeout, "100000S", 100000 * time.Second, "100000S"},
		{grpcTimeout, "30000H", 30000 * time.Hour, "1800000M"}, // more than 3 years
		{grpcTimeout, "99999999M", 99999999 * time.Minute, "99999999M"},
		{grpcTimeout, "2562047H", 2562047 * time.Hour, "2562047H"},
		{grpcTimeout, "2562048H", none, "2562048H"}, // more than a Duration
		{grpcTimeout, "99999999H", none, "99999999H"},
		{grpcTimeout, "123456789S", none, "123456789S"},
		{grpcTimeout, "20s", none, "20s"},
		{connectTimeout, "20000", 20 * time.Second, "20000"},
		{connectTimeout, "9999999999", 9999999999 * time.Millisecond, "9999999999"},
		{connectTimeout, "0", 0, "1"},
	} {
		h := http.Header{test.header: {test.given}}
		limit, limited := timeoutOf(h)
		if limited {
			setTimeout(h, limit)
		} else {
			limit = none
		}
		if limit != test.want || h.Get(test.header) != test.sent {
			t.Errorf("%s %s: it is %v and sent as %s, want %v and %s", test.header, test.given, limit, h.Get(test.header), test.want, test.sent)
		}
	}
}
