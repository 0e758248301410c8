package proxytest

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"

	"discordproxy/gen/discord_api/discordapiconnect"
)

// URL is where the server is reached.
func (p *Proxy) URL() string {
	if p.Trust != nil {
		return "https://" + p.Address
	}
	return "http://" + p.Address
}

// Identity is by what a client proves who it is.
type Identity struct {
	// Key is sent as Authorization: Bearer; empty is none.
	Key string
	// Certificate is shown in TLS; nil is none.
	Certificate *tls.Certificate
	// From is the address that it calls from. Nil is 127.0.0.1.
	From net.IP
}

// ClientsAs returns a client for each protocol that all have an identity.
func (p *Proxy) ClientsAs(t testing.TB, id Identity) map[string]discordapiconnect.DiscordApiClient {
	return clientsOver(p.HTTPClient(t, id, false), p.HTTPClient(t, id, true), p.URL())
}

// HTTPClient returns a client with an identity, for HTTP/2 or HTTP/1.1. It
// leaves no connection behind when the test ends.
func (p *Proxy) HTTPClient(t testing.TB, id Identity, http2 bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: id.From}}).DialContext}
	if p.Trust != nil {
		transport.TLSClientConfig = p.Trust.Clone()
		if id.Certificate != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{*id.Certificate}
		}
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2 && p.Trust != nil)
	transport.Protocols.SetUnencryptedHTTP2(http2 && p.Trust == nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: withKey{transport, id.Key}}
}

// withKey adds a key to each request.
type withKey struct {
	*http.Transport
	key string
}

// RoundTrip implements http.RoundTripper.
func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	if k.key != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+k.key)
	}
	return k.Transport.RoundTrip(r)
}
