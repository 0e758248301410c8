// Package api implements the methods of the API: it checks a request, calls Discord, and
// turns the result into a response or a status. Most methods are a single operation of
// Discord, and share one implementation, perform, with a table of rules for each field.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"

	"discordproxy/discord"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
)

// Discord is the client of Discord that the service needs; *discord.Client implements it.
// Responses are Discord's JSON. Every error is or wraps a *discord.Error; any other error
// is a bug.
type Discord interface {
	CreateMessage(ctx context.Context, by *discord.Caller, channelID uint64, m discord.Message) (json.RawMessage, error)
	SendDirectMessage(ctx context.Context, by *discord.Caller, userID uint64, m discord.Message) (json.RawMessage, error)
	Call(ctx context.Context, by *discord.Caller, op discord.Operation, args discord.Args, files ...discord.File) (json.RawMessage, error)
	ApplicationID(ctx context.Context, by *discord.Caller) (uint64, error)
	RateLimits() discord.RateLimits
}

// service implements the API over Discord.
type service struct {
	discord  Discord
	composer composer
	gateway  Gateway
	newEnums bool
	logger   *slog.Logger
}

var _ discordapiconnect.DiscordApiHandler = (*service)(nil)

// requestHeader returns the header of the request that a method of the service
// is called with.
func requestHeader(ctx context.Context) http.Header {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return nil
	}
	return info.RequestHeader()
}
