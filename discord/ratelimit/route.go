package ratelimit

import "time"

// Route names what Discord limits together. It holds no secret.
type Route struct {
	// Method is the HTTP method.
	Method string
	// Template is the path with placeholders, such as
	// /channels/{channel_id}/messages. A class that Discord counts apart is
	// appended, such as the age of deleted messages.
	Template string
	// Major is the top-level resource: "channel 1", "guild 1", or
	// "webhook 1/" and a digest of its token. Empty if there is none.
	Major string
	// Kind is the class of a limit within the bucket, such as KindRename.
	// Empty for ordinary requests.
	Kind string
	// Tokenless is whether the path carries its own credentials, so that no
	// bot's limits apply.
	Tokenless bool
	// Exempt is whether the call does not count against any global limit.
	Exempt bool
}

// Kinds of requests that Discord limits within a bucket. RouteOf finds
// KindEditOld itself; the others only the sender of the body can know.
const (
	KindEditOld = "edit-old" // editing a message older than an hour
	KindRename  = "rename"   // changing a channel's name or topic
)

// RouteOf names the route of a request. The path is the one below /api/vN,
// with or without a query; kind is a class of sub-limit that only the caller
// can know, or empty; now decides the age of the message in the path.
func RouteOf(method, path, kind string, now time.Time) Route {
	return Route{Method: method, Template: path, Kind: kind}
}

// String returns the route as shown in logs and status pages.
func (r Route) String() string { return r.Method + " " + r.Template }
