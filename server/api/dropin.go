package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"

	pb "discordproxy/gen/discord_api"
)

// Errors that Discord answers for IDs that exist nowhere. The server of the
// Python package discordproxy 1.5 passed ID 0 on to Discord and returned them.
var (
	unknownChannel = &discord.Error{Reason: discord.Invalid, Status: http.StatusNotFound, Code: 10003, Text: "Unknown Channel"}
	unknownGuild   = &discord.Error{Reason: discord.Invalid, Status: http.StatusNotFound, Code: 10004, Text: "Unknown Guild"}
	unknownUser    = &discord.Error{Reason: discord.Invalid, Status: http.StatusNotFound, Code: 10013, Text: "Unknown User"}
)

const codeMissingAccess = 50001

// orUnknownGuild returns the error of listing the channels of a guild. Discord
// answers 403 for a guild without the bot, and 404 to a request for the guild
// itself. The server of discordproxy 1.5 asked for the guild first, so its
// clients expect the 404.
func (s *service) orUnknownGuild(ctx context.Context, guildID uint64, err error) error {
	if e, ok := errors.AsType[*discord.Error](err); !ok || e.Status != http.StatusForbidden || e.Code != codeMissingAccess {
		return err
	}
	_, ofGuild := s.discord.Call(ctx, caller.Of(ctx), discord.GetGuild, discord.Args{"guild_id": guildID})
	if e, ok := errors.AsType[*discord.Error](ofGuild); ok && e.Reason == discord.Answered && e.Status == http.StatusNotFound {
		return ofGuild
	}
	return err
}

// isOldClient reports whether a request comes from a client that may use the
// generated code of the Python package discordproxy 1.5. That package sends the
// user agent of grpcio alone; newer packages put their own name first.
func isOldClient(header http.Header) bool {
	return strings.HasPrefix(header.Get("User-Agent"), "grpc-python")
}

// withOldTypes replaces the types of channels that discordproxy 1.5 does not
// define by UNDEFINED, as its server did. Channel.Type.Name of its generated
// code raises ValueError for other numbers.
func withOldTypes(channels []*pb.Channel) {
	for _, channel := range channels {
		if channel.GetType() > pb.Channel_GUILD_NEWS {
			channel.Type = pb.Channel_UNDEFINED
		}
	}
}
