package sandbox

import (
	"net/http"
	"strings"
)

// unsupported are the routes that Discord has and the sandbox does not imitate,
// with their methods.
var unsupported = map[string]string{
	"/applications/{application_id}/activity-instances/{instance_id}":                                           "GET",
	"/applications/{application_id}/attachment":                                                                 "POST",
	"/applications/{application_id}/entitlements":                                                               "GET POST",
	"/applications/{application_id}/entitlements/{entitlement_id}":                                              "GET DELETE",
	"/applications/{application_id}/entitlements/{entitlement_id}/consume":                                      "POST",
	"/applications/{application_id}/role-connections/metadata":                                                  "GET PUT",
	"/channels/{channel_id}/followers":                                                                          "POST",
	"/channels/{channel_id}/recipients/{user_id}":                                                               "PUT DELETE",
	"/channels/{channel_id}/send-soundboard-sound":                                                              "POST",
	"/channels/{channel_id}/threads/search":                                                                     "GET",
	"/channels/{channel_id}/voice-status":                                                                       "PUT",
	"/guilds/templates/{code}":                                                                                  "GET",
	"/guilds/{guild_id}/auto-moderation/rules":                                                                  "GET POST",
	"/guilds/{guild_id}/auto-moderation/rules/{rule_id}":                                                        "GET DELETE PATCH",
	"/guilds/{guild_id}/incident-actions":                                                                       "PUT",
	"/guilds/{guild_id}/integrations":                                                                           "GET",
	"/guilds/{guild_id}/integrations/{integration_id}":                                                          "DELETE",
	"/guilds/{guild_id}/new-member-welcome":                                                                     "GET",
	"/guilds/{guild_id}/onboarding":                                                                             "GET PUT",
	"/guilds/{guild_id}/requests":                                                                               "GET",
	"/guilds/{guild_id}/requests/{request_id}":                                                                  "PATCH",
	"/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/exceptions":                                 "POST",
	"/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/exceptions/{exception_id}":                  "DELETE PATCH",
	"/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users/counts":                               "GET",
	"/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/{guild_scheduled_event_exception_id}/users": "GET",
	"/guilds/{guild_id}/soundboard-sounds":                                                                      "GET POST",
	"/guilds/{guild_id}/soundboard-sounds/{sound_id}":                                                           "GET DELETE PATCH",
	"/guilds/{guild_id}/templates":                                                                              "GET POST",
	"/guilds/{guild_id}/templates/{code}":                                                                       "PUT DELETE PATCH",
	"/guilds/{guild_id}/welcome-screen":                                                                         "GET PATCH",
	"/guilds/{guild_id}/widget":                                                                                 "GET PATCH",
	"/guilds/{guild_id}/widget.json":                                                                            "GET",
	"/guilds/{guild_id}/widget.png":                                                                             "GET",
	"/invites/{code}/target-users":                                                                              "GET PUT",
	"/invites/{code}/target-users/job-status":                                                                   "GET",
	"/lobbies":                                                      "PUT POST",
	"/lobbies/{lobby_id}":                                           "GET DELETE PATCH",
	"/lobbies/{lobby_id}/channel-linking":                           "PATCH",
	"/lobbies/{lobby_id}/members/@me":                               "DELETE",
	"/lobbies/{lobby_id}/members/@me/invites":                       "POST",
	"/lobbies/{lobby_id}/members/bulk":                              "POST",
	"/lobbies/{lobby_id}/members/{user_id}":                         "PUT DELETE",
	"/lobbies/{lobby_id}/members/{user_id}/invites":                 "POST",
	"/lobbies/{lobby_id}/messages":                                  "GET POST",
	"/lobbies/{lobby_id}/messages/{message_id}/moderation-metadata": "PUT",
	"/oauth2/keys":                                                  "GET",
	"/oauth2/userinfo":                                              "GET",
	"/partner-sdk/dms/{user_id_1}/{user_id_2}/messages/{message_id}/moderation-metadata": "PUT",
	"/partner-sdk/provisional-accounts/unmerge":                                          "POST",
	"/partner-sdk/provisional-accounts/unmerge/bot":                                      "POST",
	"/partner-sdk/token":                                       "POST",
	"/partner-sdk/token/bot":                                   "POST",
	"/skus/{sku_id}/subscriptions":                             "GET",
	"/skus/{sku_id}/subscriptions/{subscription_id}":           "GET",
	"/stage-instances":                                         "POST",
	"/stage-instances/{channel_id}":                            "GET DELETE PATCH",
	"/sticker-packs":                                           "GET",
	"/sticker-packs/{pack_id}":                                 "GET",
	"/users/@me/applications/{application_id}/entitlements":    "GET",
	"/users/@me/applications/{application_id}/role-connection": "GET PUT DELETE",
	"/users/@me/connections":                                   "GET",
}

// undescribed are further ones, which libraries call and Discord documents, but
// which its OpenAPI description leaves out.
var undescribed = map[string]string{
	"/applications/{application_id}/skus": "GET",
	"/guilds":                             "POST",
	"/guilds/templates/{code}":            "POST",
	"/guilds/{guild_id}":                  "DELETE",
	"/guilds/{guild_id}/mfa":              "POST",
}

// unsupportedRoutes are Discord's routes that the sandbox does not implement. It
// answers 501 to them, without checking the token.
func unsupportedRoutes() []route {
	var out []route
	for _, table := range []map[string]string{unsupported, undescribed} {
		for template, methods := range table {
			for method := range strings.FieldsSeq(methods) {
				out = append(out, route{method: method, template: template, handle: (*Sandbox).notImitated, open: true, perIP: true})
			}
		}
	}
	return out
}

// notImitated answers what Discord never answers, so that nobody takes a gap of
// the sandbox for a mistake of their own.
func (s *Sandbox) notImitated(c *call) (any, error) {
	if s.stats.Unsupported == nil {
		s.stats.Unsupported = map[string]int{}
	}
	s.stats.Unsupported[c.route.key]++
	return nil, refuse(http.StatusNotImplemented, 0, "501: the sandbox does not imitate "+c.route.key+", which Discord has")
}
