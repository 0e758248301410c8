package access

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	lru "github.com/hashicorp/golang-lru/v2"
)

// known finds clients by what they prove. What a request costs does not depend on how
// many there are, apart from slow keys that were not computed yet.
type known struct {
	// digests are the hashes of keys of NewKey, as in the rules, by their SHA-256.
	// Nobody learns a key from the time that a look-up takes: the digest of a text
	// cannot be chosen.
	digests map[[sha256.Size]byte]string
	byHash  map[string]*Client
	byName  map[string]certified // of certificates
	// networks are the clients by the networks of their addresses, and lengths those
	// of the networks' prefixes, longest first.
	networks map[netip.Prefix]*Client
	lengths  []int
	// slow are the keys whose hashes take time to compute.
	slow []key
	// computed are the hashes of slow keys by the digests of the keys, and foreign
	// the digests of texts that are no keys.
	computed *lru.Cache[[sha256.Size]byte, string]
	foreign  *lru.Cache[[sha256.Size]byte, struct{}]
}

// certified is the client of a certificate, and its place in the rules: a certificate
// with names of several clients is that of the first of them.
type certified struct {
	client *Client
	place  int
}

// maxComputed is how many slow keys are remembered, and texts that are none.
const maxComputed = 10_000

func newKnown() known {
	k := known{
		digests: make(map[[sha256.Size]byte]string), byHash: make(map[string]*Client),
		byName: make(map[string]certified), networks: make(map[netip.Prefix]*Client),
	}
	k.computed, _ = lru.New[[sha256.Size]byte, string](maxComputed) // fails only for sizes that are no good
	k.foreign, _ = lru.New[[sha256.Size]byte, struct{}](maxComputed)
	return k
}

// add adds a client, unless another one has the same key, certificate or network.
func (k *known) add(c *Client, place int) error {
	twice := func(other *Client, what string) error {
		return fmt.Errorf("client %q has the same %.40s", other.name, what)
	}
	for _, key := range c.keys {
		if other := k.byHash[key.hash]; other != nil {
			return twice(other, key.hash)
		}
		k.byHash[key.hash] = c
		if key.verifier != nil {
			k.slow = append(k.slow, key)
			continue
		}
		if hash, ok := k.digests[key.digest]; ok { // written in another way
			return twice(k.byHash[hash], key.hash)
		}
		k.digests[key.digest] = key.hash
	}
	for _, name := range c.certificates {
		if other, ok := k.byName[name]; ok {
			return twice(other.client, name)
		}
		k.byName[name] = certified{c, place}
	}
	for _, p := range c.addresses {
		if other := k.networks[p]; other != nil {
			return twice(other, "address "+p.String())
		}
		k.networks[p] = c
		if at, ok := slices.BinarySearchFunc(k.lengths, p.Bits(), func(a, b int) int { return b - a }); !ok {
			k.lengths = slices.Insert(k.lengths, at, p.Bits())
		}
	}
	return nil
}

// proven returns the client with this proof, or nil if there is none.
func (k *known) proven(p proof) *Client {
	switch {
	case p.bot:
		return botTokenHolder
	case p.hash != "":
		return k.byHash[p.hash]
	case p.names != nil:
		var first certified
		for _, name := range p.names {
			if c, ok := k.byName[name]; ok && (first.client == nil || c.place < first.place) {
				first = c
			}
		}
		return first.client
	}
	for _, bits := range k.lengths {
		if network, err := p.address.Prefix(bits); err == nil { // else it is longer than an address
			if c := k.networks[network]; c != nil {
				return c
			}
		}
	}
	return nil
}

// byKnownKey returns the hash of a key if that is quick to find: of a key that
// NewKey made, or whose slow hash was computed already. Else "".
func (k *known) byKnownKey(text string) string {
	digest := sha256.Sum256([]byte(text))
	if IsKey(text) {
		if len(text) != keyLength { // a person made it up, and it could be found by trying
			return ""
		}
		return k.digests[digest]
	}
	if hash, ok := k.computed.Get(digest); ok && k.byHash[hash] != nil {
		return hash
	}
	return ""
}

// bySlowKey returns the hash of a key whose hash is slow, or "" if there is none.
func (k *known) bySlowKey(text string) (found string) {
	digest := sha256.Sum256([]byte(text))
	for _, key := range k.slow {
		if key.verifier.verify(text) {
			found = key.hash
		}
	}
	if found != "" {
		k.computed.Add(digest, found)
	} else {
		k.foreign.Add(digest, struct{}{})
	}
	return found
}

// isForeign reports whether a text was found to be no slow key.
func (k *known) isForeign(text string) bool { return k.foreign.Contains(sha256.Sum256([]byte(text))) }

// inherit takes over which slow keys were computed.
func (k *known) inherit(old *known) {
	for _, digest := range old.computed.Keys() {
		if hash, ok := old.computed.Peek(digest); ok && k.byHash[hash] != nil {
			k.computed.Add(digest, hash)
		}
	}
}
