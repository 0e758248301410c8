package discord

import (
	"cmp"
	"net"
	"net/http"
	"time"
)

// NewUpstream returns a pool of connections made for Discord: it uses HTTP/2 if Discord
// offers it, drops connections that do not answer pings, and does not follow redirects.
// connect limits the time to connect, for TCP and for TLS each; 0 means 10 seconds.
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
