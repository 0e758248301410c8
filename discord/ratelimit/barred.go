package ratelimit

// Barred says what keeps every call of a token from being sent: a [Banned] or
// [TokenRefused] error, or nil. It is cheap whatever the number of buckets.
func (l *Limiter) Barred(token string) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, c := l.now(), l.core
	if c.ban.active && now < c.ban.until {
		return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)}
	}
	if a := c.accounts[accountKey{token: token}]; a != nil && a.refusal.active {
		return &Error{Reason: TokenRefused, RetryAfter: max(a.refusal.retry.sub(now), probeTime)}
	}
	return nil
}
