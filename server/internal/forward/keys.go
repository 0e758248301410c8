package forward

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/rpc"
)

// Header is the header of forwarded requests. It holds a Sender, and the proof that a
// replica wrote it.
const Header = "Discordproxy-Forwarded"

const (
	// proofAge is how old a proof may be, by the database's clock.
	proofAge = 15 * time.Second
	// secretSpread is how long a new secret is not used: others learn of it meanwhile.
	secretSpread = 10 * time.Second
	// maxProof bounds the header in bytes.
	maxProof = 8 << 10
)

// Secret is a secret of all replicas, see store.Secret.
type Secret struct {
	ID      int64
	Secret  []byte
	Created time.Time
}

// Keys prove to other replicas that a request comes from a replica, and for which bot it
// is. All replicas have the same secrets and clock, which are those of their database. Keys
// are safe for concurrent use.
type Keys struct {
	bots []string

	mu      sync.RWMutex
	secrets []Secret // the newest first
	now     time.Time
	at      time.Time // of this machine's clock when the database's was now
}

// NewKeys returns keys that accept requests for some bots. They prove nothing before Use.
func NewKeys(bots ...string) *Keys { return &Keys{bots: bots} }

// Use replaces the secrets, which begin with the newest. The database's clock was now at
// a moment of this machine's.
func (k *Keys) Use(secrets []Secret, now, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets, k.now, k.at = secrets, now, at
}

// sender is what the header says of the request's sender.
type sender struct {
	Bot    string `json:"bot"`
	Time   int64  `json:"time"` // in milliseconds, by the database's clock
	Secret int64  `json:"secret"`
	Peer   string `json:"peer"`
	TLS    bool   `json:"tls,omitempty"`
	// Waited is for how long the request had waited at Time.
	Waited time.Duration `json:"waited,omitempty"`
	access.Evidence
	rpc.Repeat
}

var errNoSecret = errors.New("the replicas have no secret yet")

// sign returns the header for a request. uri is that of the request line.
func (k *Keys) sign(s sender, method, host, uri string) (string, error) {
	k.mu.RLock()
	secrets, now := k.secrets, k.now.Add(time.Since(k.at))
	k.mu.RUnlock()
	if len(secrets) == 0 {
		return "", errNoSecret
	}
	secret := secrets[len(secrets)-1]
	for _, newest := range secrets {
		if now.Sub(newest.Created) >= secretSpread {
			secret = newest
			break
		}
	}
	s.Time, s.Secret = now.UnixMilli(), secret.ID
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(data)
	return text + "." + base64.RawURLEncoding.EncodeToString(proof(secret.Secret, text, method, host, uri)), nil
}

// proof is bound to all that decides what a request does, apart from its body.
func proof(secret []byte, parts ...string) []byte {
	var message []byte
	for _, part := range parts {
		message = strconv.AppendInt(message, int64(len(part)), 10)
		message = append(append(message, ':'), part...)
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write(message)
	return mac.Sum(nil)
}

var errUnproven = errors.New("the header " + Header + " does not prove that a replica forwarded this request")

// errStale is the error of a proof that was right at another time. The sender's machine has
// slept, or the clock of the database was set, until both servers have asked the database again.
var errStale = errors.New("the proof of the replica that forwarded this request is too old or too new; the replica sends another one")

// verify returns what the header of a request proves.
func (k *Keys) verify(header, method, host, uri string) (sender, error) {
	text, given, _ := strings.Cut(header, ".")
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(header) > maxProof {
		return sender{}, errUnproven
	}
	got, err := base64.RawURLEncoding.DecodeString(given)
	if err != nil {
		return sender{}, errUnproven
	}
	var s sender
	if err := json.Unmarshal(data, &s); err != nil {
		return sender{}, errUnproven
	}
	k.mu.RLock()
	secrets, now := k.secrets, k.now.Add(time.Since(k.at))
	k.mu.RUnlock()
	for _, secret := range secrets {
		if secret.ID != s.Secret {
			continue
		}
		if !hmac.Equal(got, proof(secret.Secret, text, method, host, uri)) || !slices.Contains(k.bots, s.Bot) {
			return sender{}, errUnproven
		}
		if age := now.Sub(time.UnixMilli(s.Time)); age.Abs() > proofAge {
			return sender{}, errStale
		}
		return s, nil
	}
	return sender{}, errUnproven
}

// Accept returns a request that another replica has forwarded as that replica got it:
// the connection is the client's. It returns nil for a request without Header, and an
// error for one whose header proves nothing. The header is gone in any case. The response w to
// a proof of another time says that the request is to be sent again with a new one.
func (k *Keys) Accept(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	given, found := r.Header[Header]
	if !found {
		return nil, nil
	}
	delete(r.Header, Header)
	if len(given) != 1 {
		return nil, errUnproven
	}
	s, err := k.verify(given[0], r.Method, r.Host, r.RequestURI)
	if err != nil {
		if errors.Is(err, errStale) {
			w.Header().Set(notLeading, "true")
		}
		return nil, err
	}
	ctx := context.WithValue(r.Context(), forwardedKey{}, s.Bot)
	if s.Waited > 0 {
		ctx = context.WithValue(ctx, cameKey{}, time.Now().Add(-s.Waited))
	}
	if s.Repeat != (rpc.Repeat{}) {
		ctx = rpc.WithRepeat(ctx, s.Repeat)
	}
	in := r.WithContext(access.WithEvidence(ctx, s.Evidence))
	in.RemoteAddr, in.TLS = s.Peer, nil
	if s.TLS {
		in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return in, nil
}

type forwardedKey struct{}

// IsForwarded reports whether another replica has forwarded a request.
func IsForwarded(r *http.Request) bool { return BotOf(r) != "" }

// BotOf returns the bot that a request is for which another replica has forwarded, or "".
func BotOf(r *http.Request) string {
	bot, _ := r.Context().Value(forwardedKey{}).(string)
	return bot
}
