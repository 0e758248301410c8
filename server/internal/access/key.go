package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Keys made here begin with a prefix by which people and secret scanners recognize them,
// followed by 52 characters of 5 random bits each.
const (
	keyPrefix = "dpkey_"
	keyLength = len(keyPrefix) + 52
)

// NewKey returns a new key and the hash for the rules.
func NewKey() (key, hash string) {
	key = keyPrefix + rand.Text() + rand.Text()
	digest := sha256.Sum256([]byte(key))
	return key, sha256Prefix + hex.EncodeToString(digest[:])
}

// IsKey reports whether a text has the form of a key of NewKey, so that it is
// nothing for Discord.
func IsKey(text string) bool { return strings.HasPrefix(text, keyPrefix) }

const sha256Prefix = "sha256:"

// verifier is a hash of a key that takes so much time and memory to compute that not
// everybody may ask for it.
type verifier interface {
	// verify reports whether a key has this hash.
	verify(key string) bool
}

// key is a key of a client.
type key struct {
	hash string // as in the rules
	// verifier is nil for a key of NewKey, whose SHA-256 is digest. No other
	// text is known by it: one that a person made up could be found by trying.
	verifier verifier
	digest   [sha256.Size]byte
}

// parseHash reads a hash of one of three kinds.
func parseHash(text string) (k key, err error) {
	k.hash = text
	switch {
	case strings.HasPrefix(text, sha256Prefix):
		digits := strings.TrimPrefix(text, sha256Prefix)
		if len(digits) != 2*len(k.digest) {
			return k, errDigits
		}
		if _, err := hex.Decode(k.digest[:], []byte(digits)); err != nil {
			return k, errDigits
		}
	case strings.HasPrefix(text, "$argon2id$"):
		k.verifier, err = parseArgon2(text)
	case strings.HasPrefix(text, "$2"):
		k.verifier, err = parseBcrypt(text)
	default:
		err = errors.New("it must begin with sha256:, $argon2id$ or $2")
	}
	return k, err
}

var errDigits = errors.New("expected sha256: and 64 hexadecimal digits")

type bcryptVerifier string

// maxBcryptCost bounds the time for one key, by about a second.
const maxBcryptCost = 14

func parseBcrypt(text string) (verifier, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("the bcrypt hash cannot be read: %w", err)
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("the cost %d of the bcrypt hash is above %d", cost, maxBcryptCost)
	}
	return bcryptVerifier(text), nil
}

func (v bcryptVerifier) verify(key string) bool {
	return bcrypt.CompareHashAndPassword([]byte(v), []byte(key)) == nil
}

// argon2Verifier is a hash in the form of the PHC.
// https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
type argon2Verifier struct {
	time, memory uint32 // passes, KiB
	threads      uint8
	salt, hash   []byte
}

// Limits on the cost of checking one key.
const (
	maxArgon2Memory = 256 << 10 // KiB
	maxArgon2Time   = 10
)

func parseArgon2(text string) (verifier, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, fmt.Errorf("the argon2id hash is not of the form $argon2id$v=%d$m=65536,t=3,p=4$SALT$HASH", argon2.Version)
	}
	var v argon2Verifier
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &v.memory, &v.time, &v.threads); err != nil {
		return nil, fmt.Errorf("the parameters %q of the argon2id hash cannot be read", parts[3])
	}
	if v.time == 0 || v.time > maxArgon2Time || v.threads == 0 || v.memory > maxArgon2Memory {
		return nil, fmt.Errorf("the parameters of the argon2id hash are beyond m=%d, t=%d", maxArgon2Memory, maxArgon2Time)
	}
	var err1, err2 error
	v.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	v.hash, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(v.salt) < 8 || len(v.hash) < 16 {
		return nil, errors.New("salt and hash of the argon2id hash must be base64 without padding, at least 8 and 16 bytes long")
	}
	return v, nil
}

func (v argon2Verifier) verify(key string) bool {
	hash := argon2.IDKey([]byte(key), v.salt, v.time, v.memory, v.threads, uint32(len(v.hash)))
	return subtle.ConstantTimeCompare(hash, v.hash) == 1
}
