package discord

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
)

// Operations on interactions. They carry the interaction's token, and are
// outside of the bot's limits.
// https://discord.com/developers/docs/interactions/receiving-and-responding
var (
	CreateInteractionResponse = Operation{
		Name:       "create_interaction_response",
		Method:     http.MethodPost,
		Path:       "/interactions/{interaction_id}/{interaction_token}/callback",
		Repeatable: true,
		Done:       codeInteractionAcknowledged,
	}
	UpdateInteractionResponse = Operation{
		Name:       "update_original_webhook_message",
		Method:     http.MethodPatch,
		Path:       interactionPath + "/messages/@original",
		Repeatable: true,
		Returns:    AnIdentity,
	}
	CreateInteractionFollowup = Operation{Name: "execute_webhook", Method: http.MethodPost, Path: interactionPath, Returns: AnIdentity}
)

const interactionPath = "/webhooks/{application_id}/{interaction_token}"

// codeInteractionAcknowledged: the interaction was answered already.
const codeInteractionAcknowledged = 40060

// Operations on the application of the bot.
// https://discord.com/developers/docs/interactions/application-commands
var (
	getMyApplication       = Operation{Name: "get_my_application", Method: http.MethodGet, Path: "/applications/@me", Returns: AnIdentity}
	SetApplicationCommands = Operation{
		Name:    "bulk_set_application_commands",
		Method:  http.MethodPut,
		Path:    "/applications/{application_id}/commands",
		Body:    "commands",
		Returns: AList,
	}
	SetGuildApplicationCommands = Operation{
		Name:    "bulk_set_guild_application_commands",
		Method:  http.MethodPut,
		Path:    "/applications/{application_id}/guilds/{guild_id}/commands",
		Body:    "commands",
		Returns: AList,
	}
)

// ApplicationID returns the id of the bot's application. It is asked for once.
func (c *Client) ApplicationID(ctx context.Context, by *Caller) (uint64, error) {
	if id := c.application.Load(); id != 0 {
		return id, nil
	}
	data, err := c.Call(ctx, by, getMyApplication, nil)
	if err != nil {
		return 0, err
	}
	var application struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(data, &application) // of another form it has no id
	id, err := strconv.ParseUint(application.ID, 10, 64)
	if err != nil {
		return 0, &Error{Reason: Unreachable, cause: err}
	}
	c.application.Store(id)
	return id, nil
}
