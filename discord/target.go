package discord

import (
	"strings"
	"unicode"
)

// TargetKind is the kind of a target.
type TargetKind string

// The kinds of targets. A thread is a channel.
const (
	GuildTarget   TargetKind = "guild"
	ChannelTarget TargetKind = "channel"
	UserTarget    TargetKind = "user"
)

// Target is a guild, channel or user that a request names. The ID 0 means that the
// request has a value in the place of an ID that is not an ID.
type Target struct {
	Kind TargetKind
	ID   uint64
}

// TargetKindOf returns the kind of target that values with this name are ids
// of. Letter case, underscores and a plural do not matter: channelIds means
// what channel_id does. Other ids, for example of messages and roles, are not
// targets.
func TargetKindOf(name string) (TargetKind, bool) {
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
	switch name {
	case "parentid", "threadid", "threadids":
		return ChannelTarget, true
	case "recipientid", "recipientids", "recipient", "recipients": // of a direct message
		return UserTarget, true
	}
	name = strings.TrimSuffix(strings.TrimSuffix(name, "s"), "id")
	for _, kind := range []TargetKind{GuildTarget, ChannelTarget, UserTarget} {
		if strings.HasSuffix(name, string(kind)) {
			return kind, true
		}
	}
	return "", false
}

// pathTargets returns the targets in a path: those by which Discord finds what
// the request is about, and others. Only a route of Discord has the former.
// Next to a guild or channel, users do not count.
func pathTargets(method string, segments []string) (about, others []Target) {
	r, known := findRoute(method, segments)
	var places, users []Target
	add := func(kind TargetKind, segment string) {
		t := Target{kind, parseID(segment)}
		if kind == UserTarget {
			users = append(users, t)
		} else {
			places = append(places, t)
		}
	}
	if !known {
		for i, s := range segments[1:] {
			switch before := strings.ToLower(segments[i]); before {
			case "guilds", "channels":
				add(TargetKind(strings.TrimSuffix(before, "s")), s)
			case "stage-instances":
				add(ChannelTarget, s)
			case "users":
				if s != "@me" {
					add(UserTarget, s)
				}
			}
		}
		if len(places) > 0 {
			return nil, places
		}
		return nil, users
	}
	for i, s := range r.segments {
		if !isPlaceholder(s) {
			continue
		}
		if kind, ok := TargetKindOf(strings.TrimRight(strings.Trim(s, "{}"), "_12")); ok {
			add(kind, segments[i])
		}
	}
	switch {
	case len(places) > 0:
		return places, nil
	case r.segments[0] == "users":
		return users, nil
	}
	return nil, users // of a lobby, whose members do not decide
}

// bodyTargets are the routes whose target is in the body: by the method and the
// path, the fields at the top of the JSON object.
// https://discord.com/developers/docs/resources/user#create-dm
// https://discord.com/developers/docs/resources/stage-instance#create-stage-instance
var bodyTargets = map[string][]string{
	"POST /users/@me/channels": {"recipient_id", "recipients"},
	"POST /stage-instances":    {"channel_id"},
}

// channelLists are the routes whose body is a list of channels with their ids.
// https://discord.com/developers/docs/resources/guild#modify-guild-channel-positions
var channelLists = map[string]bool{"PATCH /guilds/{guild_id}/channels": true}

// unknownUsers are fields of a direct message that add users by other means than
// their ids. https://discord.com/developers/docs/resources/user#create-group-dm
var unknownUsers = map[string]bool{"access_tokens": true, "nicks": true}
