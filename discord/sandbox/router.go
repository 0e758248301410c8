package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// handler carries out a call with the sandbox's lock held. A nil body is
// answered 204; an error that is not an *apiError is a bug and answered 500.
type handler func(*Sandbox, *call) (any, error)

// route is one line of the table of what the sandbox answers. Templates are
// those of Discord's OpenAPI description.
type route struct {
	method, template string
	handle           handler
	status           int // of a success with a body; 0 means 200

	// open routes need no Authorization and, unless perIP is set, do not
	// count against the global limit.
	open  bool
	perIP bool

	// scopes are those of OAuth2 that each let a Bearer token use the route: an
	// empty list is any token, nil is none.
	scopes []string

	key   string // method and template, the name in statistics
	major string // the parameter that limits are counted by, if any
}

// routes is filled once by the resources' own tables.
func routes() []route {
	var all []route
	for _, table := range [][]route{
		gatewayRoutes, userRoutes, channelRoutes, messageRoutes, reactionRoutes, pinRoutes, threadRoutes,
		guildRoutes, memberRoutes, roleRoutes, webhookRoutes, interactionRoutes, commandRoutes,
		banRoutes, oauth2Routes, auditRoutes, inviteRoutes, emojiRoutes, stickerRoutes, searchRoutes, scheduledRoutes,
		pollRoutes, pruneRoutes, voiceRoutes, commandPermissionRoutes, unsupportedRoutes(),
	} {
		all = append(all, table...)
	}
	return all
}

// tree finds routes by path segment; literal segments win over parameters.
type tree struct {
	literal map[string]*tree
	param   *tree
	name    string // of the parameter that leads here
	methods map[string]*route
}

func newTree(table []route) *tree {
	root := &tree{}
	for i := range table {
		r := &table[i]
		r.key = r.method + " " + r.template
		node := root
		for segment := range strings.SplitSeq(r.template[1:], "/") {
			if name, ok := strings.CutPrefix(segment, "{"); ok {
				if node.param == nil {
					node.param = &tree{name: name[:len(name)-1]}
				}
				node = node.param
				if r.major == "" && (node.name == "channel_id" || node.name == "guild_id" || node.name == "webhook_id") {
					r.major = node.name
				}
				continue
			}
			if node.literal == nil {
				node.literal = map[string]*tree{}
			}
			if node.literal[segment] == nil {
				node.literal[segment] = &tree{}
			}
			node = node.literal[segment]
		}
		if node.methods == nil {
			node.methods = map[string]*route{}
		}
		node.methods[r.method] = r
	}
	return root
}

type param struct {
	name, value string
	id          ID
}

// find walks the escaped path, which has no leading slash, and fills params
// with unescaped values. Clients also escape literals, such as %40me.
func (t *tree) find(path string, params []param) (*tree, []param) {
	segment, rest, more := strings.Cut(path, "/")
	value, err := url.PathUnescape(segment)
	if err != nil {
		return nil, nil
	}
	if next := t.literal[value]; next != nil {
		if !more && next.methods != nil {
			return next, params
		}
		if more {
			if found, p := next.find(rest, params); found != nil {
				return found, p
			}
		}
	}
	if t.param == nil || segment == "" {
		return nil, nil
	}
	params = append(params, param{name: t.param.name, value: value})
	if more {
		return t.param.find(rest, params)
	}
	if t.param.methods == nil {
		return nil, nil
	}
	return t.param, params
}

// match names the route of a request, or refuses it as Discord does: what no
// route has is 404, a route without the method 405, a bad id a form error.
func (s *Sandbox) match(c *call, method, path string) error {
	node, params := s.tree.find(strings.TrimPrefix(path, "/"), c.space[:0])
	if node == nil {
		return errNoRoute
	}
	c.params = params
	if c.route = node.methods[method]; c.route == nil {
		return errMethod
	}
	for i := range params {
		p := &params[i]
		if !strings.HasSuffix(p.name, "_id") {
			continue
		}
		id, err := ParseID(p.value)
		switch {
		case err != nil && strings.Trim(p.value, "0123456789") == "":
			return invalid(p.name, "NUMBER_TYPE_MAX", "snowflake value should be less than or equal to 9223372036854775807.")
		case err != nil:
			return invalid(p.name, "NUMBER_TYPE_COERCE", `Value "`+p.value+`" is not snowflake.`)
		case id > 1<<63-1:
			return invalid(p.name, "NUMBER_TYPE_MAX", "snowflake value should be less than or equal to 9223372036854775807.")
		}
		p.id = id
	}
	return nil
}

// version splits "/api/v10/users/@me" into 10 and "users/@me". An address
// without a version is version 6.
func version(escaped string) (int, string, error) {
	path, ok := strings.CutPrefix(escaped, "/api/")
	if !ok {
		return 0, "", errNoRoute
	}
	head, rest, _ := strings.Cut(path, "/")
	if unescaped, err := url.PathUnescape(head); err == nil {
		head = unescaped
	}
	switch n, err := strconv.Atoi(strings.TrimPrefix(head, "v")); {
	case err == nil && n >= 6 && n <= 10 && head == "v"+strconv.Itoa(n):
		return n, rest, nil
	case len(head) > 1 && head[0] == 'v' && strings.Trim(head[1:], "0123456789") == "":
		return 0, "", errVersion
	default:
		return 6, path, nil
	}
}

var methodsWithBody = map[string]bool{http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true, http.MethodDelete: true}
