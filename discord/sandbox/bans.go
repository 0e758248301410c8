package sandbox

import (
	"net/http"
	"strconv"
	"time"
)

// BanShape is the form of the response that Cloudflare, in front of Discord, sends to a
// banned address. None of them has a Via header.
type BanShape string

// The shapes that have been seen.
const (
	BanText BanShape = "text" // 429, text/plain: error code: 1015
	BanHTML BanShape = "html" // 429, an HTML page
	BanJSON BanShape = "json" // 429, JSON without retry_after
)

// Ban is a Cloudflare ban.
type Ban struct {
	IP         string        `json:"ip"`          // empty: everybody
	For        time.Duration `json:"-"`           // in JSON "for", in seconds; 0 ends the ban
	Shape      BanShape      `json:"shape"`       // empty means BanText
	RetryAfter bool          `json:"retry_after"` // with a Retry-After header

	until time.Time
}

// InvalidLimit is the number of invalid calls that an address may make before it is
// banned: calls that are answered with 401, 403 or a 429 that is not shared.
type InvalidLimit struct {
	Limit  int           `json:"limit"` // 0 means none
	Window time.Duration `json:"-"`     // in JSON "window", in seconds
	Ban    Ban           `json:"ban"`   // for whom does not matter
}

// DefaultInvalidLimit is Discord's. The ban's length is a day at Discord.
func DefaultInvalidLimit() InvalidLimit {
	return InvalidLimit{
		Limit: 10_000, Window: 10 * time.Minute, Ban: Ban{For: 24 * time.Hour, Shape: BanText, RetryAfter: true},
	}
}

// invalidCount counts invalid calls of an address in slices of its window.
type invalidCount struct {
	slices [60]int
	last   int64 // the slice that was counted in last
}

func (i *invalidCount) sum(l InvalidLimit, now time.Time) int {
	width := max(1, int64(l.Window)/int64(len(i.slices)))
	at := now.UnixNano() / width
	for gone := max(i.last+1, at-int64(len(i.slices))+1); gone <= at; gone++ {
		i.slices[gone%int64(len(i.slices))] = 0
	}
	i.last = max(i.last, at)
	total := 0
	for _, n := range i.slices {
		total += n
	}
	return total
}

// blame counts an invalid call, and bans its address when that was the last
// one that it had.
func (s *Sandbox) blame(c *call) {
	s.stats.Invalid++
	l := s.invalidLimit
	if l.Limit <= 0 {
		return
	}
	if len(s.invalid) > 10_000 {
		clear(s.invalid)
	}
	count := s.invalid[c.ip]
	if count == nil {
		count = &invalidCount{}
		s.invalid[c.ip] = count
	}
	sum := count.sum(l, c.at)
	count.slices[count.last%int64(len(count.slices))]++
	if sum+1 >= l.Limit {
		delete(s.invalid, c.ip)
		ban := l.Ban
		ban.IP, ban.until = c.ip, c.at.Add(ban.For)
		s.bans[c.ip] = ban
	}
}

// banned answers a call from a banned address.
func (s *Sandbox) banned(c *call, a *answer) bool {
	if len(s.bans) == 0 {
		return false
	}
	ban, ok := s.bans[c.ip]
	if !ok || !c.at.Before(ban.until) {
		ban, ok = s.bans[""]
	}
	if !ok || !c.at.Before(ban.until) {
		return false
	}
	delete(a.header, "Via")
	a.header["Server"] = []string{"cloudflare"}
	a.status = http.StatusTooManyRequests
	if ban.RetryAfter {
		a.header["Retry-After"] = []string{strconv.FormatInt((ceilMillis(ban.until.Sub(c.at))+999)/1000, 10)}
	}
	switch ban.Shape {
	case BanHTML:
		a.header["Content-Type"] = []string{"text/html; charset=UTF-8"}
		a.body = []byte("<!doctype html><html><head><title>Access denied | discord.com used Cloudflare to restrict access</title></head>" +
			"<body><h1>Error 1015</h1><p>You are being rate limited</p></body></html>\n")
	case BanJSON:
		a.header["Content-Type"] = jsonValue
		a.body = []byte(`{"message":"You are being blocked from accessing our API temporarily due to exceeding our rate limits frequently. ` +
			`Please read our docs at https://discord.com/developers/docs/topics/rate-limits to prevent this moving forward.","code":0}`)
	default:
		a.header["Content-Type"] = []string{"text/plain; charset=UTF-8"}
		a.body = []byte("error code: 1015")
	}
	return true
}

// Ban bans an address, or everybody, as Cloudflare does.
func (s *Sandbox) Ban(b Ban) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.until = s.clock().Add(b.For)
	s.bans[b.IP] = b
}

// Unban ends all bans and forgets the invalid calls that were counted.
func (s *Sandbox) Unban() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.bans)
	clear(s.invalid)
	s.limiter.globalUntil = time.Time{}
}

// SetInvalidLimit changes how many invalid calls lead to a ban.
func (s *Sandbox) SetInvalidLimit(l InvalidLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invalidLimit = l
	clear(s.invalid)
}
