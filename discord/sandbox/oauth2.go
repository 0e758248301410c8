package sandbox

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ClientSecret is the OAuth2 client secret of every application. An
// application's client ID is the ID of its bot.
const ClientSecret = "sandbox-secret"

// How long codes and tokens of OAuth2 are good.
const (
	codeLifetime  = 10 * time.Minute
	tokenLifetime = 7 * 24 * time.Hour
)

var oauth2Routes = []route{
	{method: "POST", template: "/oauth2/token", handle: (*Sandbox).issueToken, open: true, perIP: true},
	{method: "POST", template: "/oauth2/token/revoke", handle: (*Sandbox).revokeToken, open: true, perIP: true},
	{method: "GET", template: "/oauth2/@me", handle: (*Sandbox).getAuthorization, scopes: anyScope},
}

// anyScope is the list of scopes of a route that every Bearer token may use.
var anyScope = []string{}

// grant contains the scopes that a user has granted to an application.
type grant struct {
	application, user ID
	scopes            []string
	expires           time.Time
	refresh           string // of a token; empty for none
}

func (g *grant) has(scope string) bool { return slices.Contains(g.scopes, scope) }

// oauth2 holds the grants by their secret.
type oauth2 struct {
	codes, tokens, refresh map[string]*grant
}

func newOAuth2() oauth2 {
	return oauth2{map[string]*grant{}, map[string]*grant{}, map[string]*grant{}}
}

// Authorize grants scopes, such as "identify", to the default bot's application on behalf
// of a user. It returns the code that Discord's consent page would give to the
// application, which is valid once and for 10 minutes.
func (s *Sandbox) Authorize(user ID, scopes ...string) (code string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] == nil {
		return "", errNoUser
	}
	code = s.token(s.newID())
	s.codes[code] = &grant{application: s.world.Bot, user: user, scopes: slices.Clone(scopes), expires: s.clock().Add(codeLifetime)}
	return code, nil
}

// errOAuth2 is an error of OAuth2's own shape.
// https://www.rfc-editor.org/rfc/rfc6749#section-5.2
func errOAuth2(status int, kind, description string) *apiError {
	return &apiError{Status: status, OAuth2: kind, Description: description}
}

// client authenticates an application by HTTP Basic or by the form.
func (s *Sandbox) client(c *call, form url.Values) (ID, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if scheme, encoded, _ := strings.Cut(c.token, " "); strings.EqualFold(scheme, "Basic") {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return 0, errOAuth2(http.StatusUnauthorized, "invalid_client", "")
		}
		id, secret, _ = strings.Cut(string(decoded), ":")
	}
	application, err := ParseID(id)
	if u := s.users[application]; err != nil || u == nil || !u.Bot || secret != ClientSecret {
		return 0, errOAuth2(http.StatusUnauthorized, "invalid_client", "")
	}
	return application, nil
}

// oauth2Form returns the fields of a form; OAuth2 takes no other body.
func (c *call) oauth2Form() (url.Values, error) {
	if !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, errOAuth2(http.StatusBadRequest, "invalid_request", "the body must be a form")
	}
	var fields map[string]any
	if err := c.decode(&fields); err != nil {
		return nil, err
	}
	form := url.Values{}
	for name, value := range fields {
		if text, ok := value.(string); ok {
			form.Set(name, text)
		}
	}
	return form, nil
}

// accessToken is the answer to a request for a token.
type accessToken struct {
	TokenType    string `json:"token_type"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
}

func (s *Sandbox) issueToken(c *call) (any, error) {
	form, err := c.oauth2Form()
	if err != nil {
		return nil, err
	}
	application, err := s.client(c, form)
	if err != nil {
		return nil, err
	}
	var given *grant
	switch kind := form.Get("grant_type"); kind {
	case "authorization_code":
		code := form.Get("code")
		given = s.codes[code]
		if given == nil || given.application != application || !c.at.Before(given.expires) {
			return nil, errOAuth2(http.StatusBadRequest, "invalid_grant", `Invalid "code" in request.`)
		}
		delete(s.codes, code)
	case "refresh_token":
		given = s.refresh[form.Get("refresh_token")]
		if given == nil || given.application != application {
			return nil, errOAuth2(http.StatusBadRequest, "invalid_grant", "")
		}
		s.forget(given)
	case "client_credentials":
		// The application acts for its owner.
		owner := cmp.Or(s.world.Owner, application)
		return s.grantToken(c, &grant{application: application, user: owner, scopes: strings.Fields(form.Get("scope"))}, false), nil
	default:
		return nil, errOAuth2(http.StatusBadRequest, "unsupported_grant_type", "")
	}
	return s.grantToken(c, &grant{application: application, user: given.user, scopes: given.scopes}, true), nil
}

// grantToken makes the token of a grant.
func (s *Sandbox) grantToken(c *call, g *grant, refreshable bool) accessToken {
	token := s.token(s.newID())
	g.expires = c.at.Add(tokenLifetime)
	s.oauth2.tokens[token] = g
	if refreshable {
		g.refresh = s.token(s.newID())
		s.refresh[g.refresh] = g
	}
	return accessToken{"Bearer", token, int(tokenLifetime.Seconds()), g.refresh, strings.Join(g.scopes, " ")}
}

// forget takes away the tokens of a grant.
func (s *Sandbox) forget(g *grant) {
	delete(s.refresh, g.refresh)
	for token, other := range s.oauth2.tokens {
		if other == g {
			delete(s.oauth2.tokens, token)
		}
	}
}

func (s *Sandbox) revokeToken(c *call) (any, error) {
	form, err := c.oauth2Form()
	if err != nil {
		return nil, err
	}
	application, err := s.client(c, form)
	if err != nil {
		return nil, err
	}
	token := form.Get("token")
	if g := cmp.Or(s.oauth2.tokens[token], s.refresh[token]); g != nil && g.application == application {
		s.forget(g)
	}
	return struct{}{}, nil
}

// bearer finds the grant of a Bearer token that the route of a call takes.
func (s *Sandbox) bearer(c *call) (*grant, error) {
	scheme, token, _ := strings.Cut(c.token, " ")
	if scheme != "Bearer" {
		return nil, nil
	}
	g := s.oauth2.tokens[token]
	switch {
	case g == nil:
		return nil, nil
	case !c.at.Before(g.expires), c.route.scopes == nil:
		return nil, errUnauthorized
	}
	if len(c.route.scopes) > 0 && !slices.ContainsFunc(c.route.scopes, g.has) {
		return nil, errUnauthorized
	}
	return g, nil
}

func (s *Sandbox) getAuthorization(c *call) (any, error) {
	if c.grant == nil {
		return nil, errUnauthorized
	}
	application := s.users[c.grant.application].User
	out := map[string]any{
		"application": map[string]any{
			"id": application.ID, "name": application.Username, "icon": nil, "description": "", "type": nil, "bot": application, "summary": "",
			"bot_public": true, "bot_require_code_grant": false, "verify_key": verifyKey(application.ID),
			"flags": s.applicationFlags(), "flags_new": "0",
		},
		"scopes": orEmpty(c.grant.scopes), "expires": timestamp(c.grant.expires),
	}
	if c.grant.has("identify") {
		out["user"] = c.user.User
	}
	return out, nil
}

var (
	errOAuth2Token = refuse(http.StatusForbidden, 50025, "Invalid OAuth2 access token")
	errUserBanned  = refuse(http.StatusForbidden, 40007, "The user is banned from this guild.")
)

// addMember makes a user a member who has granted that by OAuth2.
// https://discord.com/developers/docs/resources/guild#add-guild-member
func (s *Sandbox) addMember(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		memberBody
		AccessToken string `json:"access_token"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if body.AccessToken == "" {
		f.required("access_token")
	}
	if body.Nick != nil {
		f.length("nick", *body.Nick, 0, 32)
	}
	var roles []ID
	if body.Roles != nil {
		for i, r := range *body.Roles {
			f.id(join("roles", i), r)
			roles = append(roles, r.ID)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	user := c.id("user_id")
	given := s.oauth2.tokens[body.AccessToken]
	switch {
	case !p.Has(PermCreateInstantInvite):
		return nil, errMissingPerms
	case given == nil || given.user != user || given.application != c.user.ID || !given.has("guilds.join") || !c.at.Before(given.expires):
		return nil, errOAuth2Token
	case g.bans[user] != nil:
		return nil, errUserBanned
	case g.members[user] != nil:
		return nil, nil
	case body.Nick != nil && !p.Has(PermManageNicknames):
		return nil, errMissingPerms
	}
	for _, id := range roles {
		if err := g.mayGrant(c, p, id); err != nil {
			return nil, err
		}
	}
	s.join(g, user, roles...)
	m := g.members[user]
	m.JoinedAt = timestamp(c.now)
	if body.Nick != nil && *body.Nick != "" {
		m.Nick = body.Nick
	}
	s.publish("GUILD_MEMBER_ADD", g.ID, 0, func() any { return memberEvent{g.ID, *m} })
	s.guildJoined(g, user)
	return m, nil
}
