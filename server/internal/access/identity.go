package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"connectrpc.com/connect"
)

// proof is the credential by which a client was identified. Exactly one field is set.
type proof struct {
	hash    string // of its key, as in the rules
	names   []string
	address netip.Addr
	bot     bool   // the bot's own token
	client  string // a name: the server acts for the client; see Guard.Act
}

// Placeholder is a token for libraries that require one: a request with it is the bot's,
// like a request without a token.
const Placeholder = "discordproxy"

// IsPlaceholder reports whether a token is Placeholder, or has the shape of a real
// token for libraries that read the bot's ID in it: three parts separated by dots,
// the last of them Placeholder.
func IsPlaceholder(token string) bool {
	parts := strings.Split(token, ".")
	return token == Placeholder || len(parts) == 3 && parts[2] == Placeholder
}

type botTokenKey struct{}

// WithBotToken marks a request whose header Authorization is the bot's own token. Anyone
// who has the token controls the bot, so a Guard lets the request do everything, unless
// its client is known in another way: by a key in the path, a certificate or an address.
func WithBotToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, botTokenKey{}, true)
}

type commandKey struct{}

// WithCommand marks a request whose header Authorization is the token in a command of
// Discord's gateway, such as IDENTIFY, so that refusals name the command and not a header
// that the client has never sent.
func WithCommand(ctx context.Context, command string) context.Context {
	return context.WithValue(ctx, commandKey{}, command)
}

// commandOf returns the command that WithCommand was given, or "".
func commandOf(ctx context.Context) string {
	command, _ := ctx.Value(commandKey{}).(string)
	return command
}

// botTokenHolder is the client of requests with the bot's own token. No name of
// an entry has a space.
var botTokenHolder = &Client{name: "bot token"}

// identity is the sender of a request.
type identity struct {
	client *Client
	proof  proof
	// ownHeader is whether the header Authorization is a credential of this
	// server, and not of Discord.
	ownHeader bool
}

// parseAddresses reads addresses and networks in CIDR notation.
func parseAddresses(list []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, text := range list {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			a = a.Unmap()
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil || p.Addr().Is4In6():
			return nil, fmt.Errorf("addresses: %q is not an IP address, nor a network such as 10.1.0.0/16", text)
		case p != p.Masked():
			return nil, fmt.Errorf("addresses: %q has bits set beyond its prefix: did you mean %s?", text, p.Masked())
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}

// identify returns the sender of the request.
func (g *Guard) identify(r *http.Request, rules *Rules) (identity, error) {
	if e := evidenceIn(r.Context()); e != nil && e.Client != "" {
		return g.byName(rules, e.Client)
	}
	inHeader, given, err := keyOf(r.Header)
	if err != nil {
		return identity{}, err
	}
	peer := peerOf(r.RemoteAddr)
	if inPath, ok := pathKeyOf(r.Context()); ok {
		id, err := g.byKey(r.Context(), rules, inPath, peer, false)
		if err != nil {
			return identity{}, err
		}
		// Any other Authorization is for Discord.
		if given && (IsKey(inHeader) || inHeader == inPath || rules != nil && rules.byKnownKey(inHeader) != "") {
			if inHeader != inPath {
				if _, err := g.byKey(r.Context(), rules, inHeader, peer, false); err != nil {
					return identity{}, err
				}
			}
			id.ownHeader = true
		}
		return id, nil
	}
	names := certificateNames(r)
	fallback := g.withoutKey(r, rules, names)
	if r.Context().Value(botTokenKey{}) != nil {
		if fallback.client != nil {
			return fallback, nil
		}
		return identity{client: botTokenHolder, proof: proof{bot: true}}, nil
	}
	if given && (rules != nil || fallback.client == nil || IsKey(inHeader)) {
		id, err := g.byKey(r.Context(), rules, inHeader, peer, fallback.client != nil)
		if err == nil {
			id.ownHeader = true
			return id, nil
		}
		// Other tokens are for Discord, once it is certain that they are not
		// keys.
		if fallback.client == nil || IsKey(inHeader) || connect.CodeOf(err) != connect.CodeUnauthenticated {
			return identity{}, err
		}
	}
	command := commandOf(r.Context())
	switch {
	case fallback.client != nil:
		return fallback, nil
	case len(names) > 0 && command != "":
		return identity{}, refuse(
			connect.CodeUnauthenticated, "no client has the certificate of %.100q, and the token in %s is no key", names[0], command,
		)
	case len(names) > 0:
		return identity{}, refuse(
			connect.CodeUnauthenticated,
			"no client has the certificate of %.100q, and there is no key in the header Authorization",
			names[0],
		)
	case rules == nil:
		return identity{}, refuse(connect.CodeUnauthenticated, "a certificate is required")
	case command != "":
		return identity{}, refuse(connect.CodeUnauthenticated, "a key is required: use it as the token in %s", command)
	}
	return identity{}, refuse(connect.CodeUnauthenticated, "a key is required: send it in the header Authorization: Bearer KEY")
}

// withoutKey returns who is known by a certificate or, failing that, by the
// address of the connection.
func (g *Guard) withoutKey(r *http.Request, rules *Rules, names []string) identity {
	if g.certificates && len(names) > 0 {
		if rules == nil {
			return identity{client: &Client{name: names[0], everyBot: true}, proof: proof{names: names}}
		}
		p := proof{names: names}
		if client := rules.proven(p); client != nil {
			return identity{client: client, proof: p}
		}
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if rules == nil || err != nil {
		return identity{}
	}
	p := proof{address: at.Addr().Unmap().WithZone("")}
	return identity{client: rules.proven(p), proof: p}
}

// byKey returns who has a key. A guess of a slow key counts before its hash is
// computed, and no longer once it was right.
//
// foreign is whether the text may be a token for Discord; each of those needs
// to be tried only once.
func (g *Guard) byKey(ctx context.Context, rules *Rules, text, peer string, foreign bool) (identity, error) {
	unknown := unknownKey(ctx, text)
	tooMany := refuse(connect.CodeResourceExhausted, "too many unknown keys came from this address, try again later")
	found := func(hash string) identity {
		p := proof{hash: hash}
		return identity{client: rules.proven(p), proof: p}
	}
	if rules != nil {
		if hash := rules.byKnownKey(text); hash != "" {
			return found(hash), nil
		}
	}
	known := rules != nil && rules.isForeign(text)
	if known && foreign {
		return identity{}, unknown
	}
	if !g.attempts.take(peer) {
		return identity{}, tooMany
	}
	if known || rules == nil || text == "" || IsKey(text) || len(rules.slow) == 0 {
		return identity{}, unknown
	}
	leave, err := g.proving.enter(ctx, peer)
	if err != nil {
		g.attempts.giveBack(peer) // nothing was computed
		return identity{}, err
	}
	defer leave()
	if hash := rules.bySlowKey(text); hash != "" {
		g.attempts.giveBack(peer)
		return found(hash), nil
	}
	return identity{}, unknown
}

// unknownKey refuses a key that no client has.
func unknownKey(ctx context.Context, text string) error {
	inPath, ok := pathKeyOf(ctx)
	command := commandOf(ctx)
	switch {
	case ok && inPath == text:
		return refuse(connect.CodeUnauthenticated, "the key in the path is unknown")
	case command != "":
		return refuse(connect.CodeUnauthenticated, "the token in %s is unknown: use a client key or the bot's own token", command)
	}
	return refuse(connect.CodeUnauthenticated, "the key in the header Authorization is unknown")
}

// keyOf returns what a request gives as a key. Libraries that speak to Discord
// can be made to send theirs as a bot's token alone, and others know HTTP's
// Basic alone, whose password is the key then.
func keyOf(h http.Header) (key string, given bool, err error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	if len(values) > 1 {
		return "", false, refuse(connect.CodeUnauthenticated, "there is more than one header Authorization")
	}
	key, err = KeyIn(values[0])
	if err != nil {
		return "", true, nil
	}
	return key, true, nil
}

// KeyIn returns the text in an Authorization that may be a key: the token of
// Bearer or Bot, the password of Basic.
func KeyIn(authorization string) (string, error) {
	scheme, rest, _ := strings.Cut(authorization, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer", "bot":
		return rest, nil
	case "basic":
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return "", errors.New("not base 64")
		}
		_, password, _ := strings.Cut(string(decoded), ":")
		return password, nil
	}
	return "", errors.New("unsupported scheme: use Bearer, Bot or Basic")
}
