package access

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/strictyaml"

	"golang.org/x/time/rate"
)

// Rules are the known clients with their rights.
type Rules struct {
	clients []*Client
	named   map[string]*Client
	several bool // whether the server has more than one bot, or they are not known
	known
}

// properName matches valid names of clients, also those in certificates: names are
// labels in logs and metrics.
var properName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,99}$`)

// file is the form of rules in YAML.
type file struct {
	Clients []entry `yaml:"clients"`
}

type entry struct {
	Name         string   `yaml:"name"`
	Hashes       []string `yaml:"hashes"`
	Certificates []string `yaml:"certificates"`
	Addresses    []string `yaml:"addresses"`
	Bots         []string `yaml:"bots"`
	Methods      []string `yaml:"methods"`
	Guilds       []string `yaml:"guilds"`
	Channels     []string `yaml:"channels"`
	Users        []string `yaml:"users"`
	Untargeted   bool     `yaml:"untargeted"`
	Deliveries   bool     `yaml:"all_deliveries"`
	Rate         float64  `yaml:"rate"`
	Burst        int      `yaml:"burst"`
	MaxCalls     int      `yaml:"max_calls"`
	MaxBytes     int64    `yaml:"max_bytes"`
	Timeout      string   `yaml:"timeout"`
}

// Defaults are the default values of a client's entry.
type Defaults struct {
	// Methods are all names that a pattern of methods can match, except those of plain REST.
	Methods []string
	// Bots are the names of the server's bots, the default bot first. If there are none,
	// entries may name any bot, and a client whose entry names none may use none.
	Bots []string
	// MaxCalls is how many calls a client may have in progress, and MaxBytes how
	// large their requests may be together.
	MaxCalls int
	MaxBytes int64
}

// Parse reads rules. It returns an error for anything that it does not understand, and
// for anything that could allow more than its author meant.
func Parse(data []byte, d Defaults) (*Rules, error) {
	var f file
	if err := strictyaml.Load(data, &f); err != nil {
		return nil, err
	}
	if len(f.Clients) == 0 {
		return nil, errors.New("the file has no clients, so nobody could call")
	}
	rules := &Rules{named: make(map[string]*Client, len(f.Clients)), known: newKnown(), several: len(d.Bots) != 1}
	for i, e := range f.Clients {
		client, err := e.client(d)
		if err == nil && rules.named[e.Name] != nil {
			err = fmt.Errorf("client %q has the same name", e.Name)
		}
		if err == nil {
			err = rules.known.add(client, i)
		}
		if err != nil {
			return nil, fmt.Errorf("client %d, %q: %w", i+1, e.Name, err)
		}
		rules.named[e.Name] = client
		rules.clients = append(rules.clients, client)
	}
	return rules, nil
}

func (e *entry) client(d Defaults) (*Client, error) {
	if !properName.MatchString(e.Name) {
		return nil, errors.New("a name has at most 100 letters, digits and . _ @ : / -, and begins with a letter or digit")
	}
	if len(e.Hashes) == 0 && len(e.Certificates) == 0 && len(e.Addresses) == 0 {
		return nil, errors.New("it needs hashes, certificates or addresses")
	}
	c := &Client{name: e.Name, certificates: e.Certificates, untargeted: e.Untargeted, allDeliveries: e.Deliveries}
	for i, hash := range e.Hashes {
		k, err := parseHash(hash)
		if err != nil {
			return nil, fmt.Errorf("hash %d: %w", i+1, err)
		}
		c.keys = append(c.keys, k)
	}
	var err error
	if c.addresses, err = parseAddresses(e.Addresses); err != nil {
		return nil, err
	}
	for _, name := range e.Certificates {
		if !properName.MatchString(name) {
			return nil, fmt.Errorf("no certificate can have the name %q", name)
		}
	}
	if err := c.parseBots(e.Bots, d.Bots); err != nil {
		return nil, err
	}
	for _, text := range e.Methods {
		pattern, err := parsePattern(text, d.Methods)
		if err != nil {
			return nil, err
		}
		c.methods = append(c.methods, pattern)
	}
	for k, list := range map[discord.TargetKind][]string{
		discord.GuildTarget: e.Guilds, discord.ChannelTarget: e.Channels, discord.UserTarget: e.Users,
	} {
		if len(list) == 0 {
			continue
		}
		known, err := parseIDs(list)
		if err != nil {
			return nil, fmt.Errorf("%ss: %w", k, err)
		}
		if c.places == nil {
			c.places = make(map[discord.TargetKind]ids)
		}
		c.places[k] = known
	}
	if c.untargeted && c.places == nil {
		return nil, errors.New("untargeted requires guilds, channels or users")
	}
	if !(e.Rate >= 0 && e.Rate <= 1e6) || e.Burst < 0 || e.MaxCalls < 0 || e.MaxBytes < 0 {
		return nil, errors.New("rate, burst, max_calls and max_bytes must not be negative, and rate at most 1000000")
	}
	if e.Burst > 0 && e.Rate == 0 {
		return nil, errors.New("burst requires rate")
	}
	if e.Timeout != "" {
		timeout, err := parseTimeout(e.Timeout)
		if err != nil {
			return nil, err
		}
		c.timeout = &timeout
	}
	c.limit, c.burst = rate.Limit(e.Rate), max(e.Burst, 1)
	if c.limit == 0 {
		c.limit = rate.Inf
	}
	c.maxCalls, c.maxBytes = cmp.Or(e.MaxCalls, d.MaxCalls), cmp.Or(e.MaxBytes, d.MaxBytes)
	c.usage = &usage{limiter: rate.NewLimiter(c.limit, c.burst)}
	return c, nil
}

// maxTimeout bounds timeout, so that it fits every clock.
const maxTimeout = 1000 * time.Hour

// parseTimeout reads a number of seconds or a duration.
func parseTimeout(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout < 0 || timeout > maxTimeout {
		return 0, fmt.Errorf("timeout: %q is not a number of seconds or a duration such as 25s, from 0 to 1000h", text)
	}
	return timeout, nil
}

func parseIDs(list []string) (ids, error) {
	known := ids{ids: make(map[uint64]bool)}
	for _, text := range list {
		if text == "*" {
			known.all = true
			continue
		}
		id, err := strconv.ParseUint(text, 10, 63)
		if err != nil || id == 0 {
			return ids{}, fmt.Errorf("%q is neither a Discord ID nor *", text)
		}
		known.ids[id] = true
	}
	return known, nil
}

// Names of rights that are not methods of the API.
const (
	MetricsPage = "metrics"
	Dashboard   = "dashboard"
	Reflection  = "ServerReflectionInfo"
	Hooks       = "hooks"    // incoming ones, see package hooks
	Presence    = "presence" // of the bot, through the gateway
	Operate     = "operate"  // cancel the calls of others and pause channels, through the dashboard
)

// Pages are these names.
var Pages = []string{MetricsPage, Dashboard, Reflection, Hooks, Presence, Operate}

// inherit takes over what clients of the same name use.
func (r *Rules) inherit(old *Rules) {
	if old == nil {
		return
	}
	r.known.inherit(&old.known)
	for _, c := range r.clients {
		if before := old.named[c.name]; before != nil {
			c.usage = before.usage
			c.usage.limiter.SetLimit(c.limit)
			c.usage.limiter.SetBurst(c.burst)
		}
	}
}

// proven returns the client with this proof, or nil if there is none.
func (r *Rules) proven(p proof) *Client {
	if p.client != "" {
		return r.named[p.client]
	}
	return r.known.proven(p)
}

// Count returns the number of clients.
func (r *Rules) Count() int { return len(r.clients) }
