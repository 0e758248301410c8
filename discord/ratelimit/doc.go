// Package ratelimit decides when a request to Discord may be sent: buckets, the
// global limit, bans and the budget of invalid requests.
//
// A caller names what it wants to send with a [Route], waits for a [Permit]
// with [Limiter.Acquire], sends, and passes the answer to [Permit.Complete].
//
// # Structure
//
// The [Limiter] is a shell: a mutex, one timer for everything, and one parked
// goroutine for each waiting call. All decisions are methods of core. They take
// the time as an argument, wait for nothing and start nothing, so tests run
// them in simulated time.
//
//	core
//	└ account     one token; its pool is the global limit
//	  ├ shape     one route, whatever its channel or guild
//	  │ └ sharing   whether channels or guilds share its limit
//	  └ bucket    routes of one channel, guild or webhook that share a limit
//	    ├ window      the limit as headers describe it
//	    ├ throttle    the limit as 429s taught it
//	    └ class       calls of one route and kind
//	      └ queue     of these, the calls of one caller
//	        └ subqueue  of these, the calls of one line, oldest first
//
// A line is the messages of one caller to one channel, which keep their order.
// It can have subqueues in several buckets, if several routes lead to the channel.
//
// # What blocks a call
//
// A call is sent when all of these allow it, in this order:
//
//  1. Nothing refuses it: ban, budget, token, route, webhook (barred).
//  2. Its line: the call before has ended for good.
//  3. The throttles of its kind and bucket, and then its shape's gate.
//  4. Its bucket's window. Calls in flight count as if they had been counted.
//  5. Its turn: callers alternate; of one caller's buckets the one with the
//     longest queue goes first, and every fourth time the one with the oldest
//     call.
//  6. The pool: a unit is free, and no queue that decides when all is done
//     needs it first (spares). Exempt calls skip 5 and 6.
//
// # Limits that headers do not show
//
// A 429 that the headers do not explain teaches a throttle. Until more is known,
// the limit is suspected to be one of the route, shared by all its channels,
// guilds or webhooks (sharing), because to take a shared limit for several ones
// earns a 429 with almost every call. While the refused one waits, one call of
// another is let through; if it is accepted, each has a limit of its own. If it
// is refused although it was granted clearly more or fewer calls, they share the
// limit. Calls that contradict what was decided later revise it.
//
// # The life of a call
//
// A call asks (admit) and is then sent, refused or queued. It is sent from the
// queue by dispatch, leaves it when its caller does (leave), or is refused when
// its deadline can no longer be met (recheck) or something bars it (sweep). A
// sent call ends once: with an answer (complete), without one (lose), or unsent
// (cancel). An answer teaches the clock, the window and the throttles (read,
// learn, accepted, refusedBy). A retry is a new call with the number of the
// first one, which gives it the old place. The line goes on when the last try
// has ended (done).
//
// # Invariants
//
//   - Whatever changes what a bucket may do next is followed by settle for it,
//     which lists the bucket in exactly one place: ready for the pool, exempt,
//     due at a time (wakes), parked at a gate, or none if an answer must come.
//   - nextDue never returns a moment later than the next thing to do.
//   - The counts of waiting and sent calls, bytes and units match the lists
//     after each step; the model test compares them.
//   - A bucket whose numbers are true never earns a 429, nor does the pool.
//
// See https://docs.discord.com/developers/topics/rate-limits.
package ratelimit
