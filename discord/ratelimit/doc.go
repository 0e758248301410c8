// Package ratelimit decides when a request to Discord may be sent: buckets, the
// global limit, bans and the budget of invalid requests.
//
// A caller describes its request with a [Route], waits for a [Permit] with
// [Limiter.Acquire], sends the request, and passes the response to [Permit.Complete].
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
//	    ├ throttle    the limit inferred from 429s
//	    └ class       calls of one route and kind
//	      └ queue     those calls of one caller
//	        └ subqueue  those calls of one line, oldest first
//
// Limiters of one process share an [Address], since Discord counts invalid requests and bans
// by address.
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
// A 429 that the headers do not explain sets up a throttle. Until more is known, the
// limit is assumed to be one of the route, shared by all its channels, guilds or webhooks
// (sharing), because mistaking a shared limit for separate ones causes a 429 with almost
// every call. While the refused resource waits, one call of another is sent. If Discord
// accepts it, each resource has its own limit. If Discord refuses it although it was
// granted clearly more or fewer calls, they share the limit. Later calls that contradict
// the decision revise it.
//
// # The life of a call
//
// A new call (admit) is sent, refused or queued. From the queue, it is sent by dispatch,
// removed if its caller cancels (leave), or refused if its deadline can no longer be met
// (recheck) or something bars it (sweep). A sent call ends once: with a response
// (complete), without one (lose), or unsent (cancel). A response updates the clock, the
// window and the throttles (read, learn, accepted, refusedBy). A retry is a new call with
// the number of the first attempt, which gives it the same place in the queue. The line
// continues when the last attempt has ended (done).
//
// # Invariants
//
//   - After every change to what a bucket may do next, settle lists the bucket in
//     exactly one place: ready for the pool, exempt, due at a time (wakes), or parked
//     at a gate. A bucket that can only wait for a response is in no list.
//   - nextDue never returns a time after the next thing to do.
//   - The counts of waiting and sent calls, bytes and units match the lists
//     after each step; the model test compares them.
//   - A bucket whose headers are right never gets a 429, and neither does the pool.
//
// See https://docs.discord.com/developers/topics/rate-limits.
package ratelimit
