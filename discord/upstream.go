package discord

import (
	"cmp"
	"net"
	"net/http"
	"time"
)

// NewUpstream returns a pool of connections made for Discord: HTTP/2 where it
// is offered, connections that answer no ping are dropped, and no redirect is
// followed by itself. connect bounds the time to reach Discord, each for TCP
// and for TLS; 0 means 10 seconds.
func NewUpstream(connect time.Duration) *http.Transport {
	connect = cmp.Or(connect, 10*time.Second)
	dialer := &net.Dialer{Timeout: connect, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: connect,
		ForceAttemptHTTP2:   true,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  15 * time.Second,
			PingTimeout:      15 * time.Second,
			WriteByteTimeout: 30 * time.Second,
		},
		MaxIdleConnsPerHost:    128,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
