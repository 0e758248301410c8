package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// apiError is an error in Discord's shape.
//
// See https://discord.com/developers/docs/reference#error-messages.
type apiError struct {
	Status  int            `json:"-"`
	Message string         `json:"message"`
	Code    int            `json:"code"`
	Errors  map[string]any `json:"errors,omitempty"`

	// Of OAuth2's own errors, which have a shape of their own.
	OAuth2      string `json:"-"`
	Description string `json:"-"`
}

// oauth2Error is the shape of OAuth2's errors.
type oauth2Error struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *apiError) Error() string { return e.Message + e.OAuth2 }

func refuse(status, code int, message string) *apiError {
	return &apiError{Status: status, Code: code, Message: message}
}

// The refusals that several routes share. Texts are those of the API, which
// differ from the words of its documentation.
var (
	errUnauthorized     = refuse(http.StatusUnauthorized, 0, "401: Unauthorized")
	errNoRoute          = refuse(http.StatusNotFound, 0, "404: Not Found")
	errMethod           = refuse(http.StatusMethodNotAllowed, 0, "405: Method Not Allowed")
	errInternal         = refuse(http.StatusInternalServerError, 0, "500: Internal Server Error")
	errVersion          = refuse(http.StatusBadRequest, 50041, "Invalid API version provided.")
	errUnknownChannel   = refuse(http.StatusNotFound, 10003, "Unknown Channel")
	errUnknownGuild     = refuse(http.StatusNotFound, 10004, "Unknown Guild")
	errUnknownMember    = refuse(http.StatusNotFound, 10007, "Unknown Member")
	errUnknownMessage   = refuse(http.StatusNotFound, 10008, "Unknown Message")
	errUnknownRole      = refuse(http.StatusNotFound, 10011, "Unknown Role")
	errUnknownUser      = refuse(http.StatusNotFound, 10013, "Unknown User")
	errUnknownEmoji     = refuse(http.StatusBadRequest, 10014, "Unknown Emoji")
	errUnknownWebhook   = refuse(http.StatusNotFound, 10015, "Unknown Webhook")
	errApplication      = refuse(http.StatusForbidden, 20012, "You are not authorized to perform this action on this application")
	errTooLarge         = refuse(http.StatusRequestEntityTooLarge, 40005, "Request entity too large")
	errMissingAccess    = refuse(http.StatusForbidden, 50001, "Missing Access")
	errOnDM             = refuse(http.StatusForbidden, 50003, "Cannot execute action on a DM channel")
	errNotAuthor        = refuse(http.StatusForbidden, 50005, "Cannot edit a message authored by another user")
	errEmptyMessage     = refuse(http.StatusBadRequest, 50006, "Cannot send an empty message")
	errNonText          = refuse(http.StatusBadRequest, 50008, "Cannot send messages in a non-text channel")
	errMissingPerms     = refuse(http.StatusForbidden, 50013, "Missing Permissions")
	errChannelType      = refuse(http.StatusBadRequest, 50024, "Cannot execute action on this channel type")
	errWebhookToken     = refuse(http.StatusUnauthorized, 50027, "Invalid Webhook Token")
	errInvalidRecipient = refuse(http.StatusBadRequest, 50033, "Invalid Recipient(s)")
	errInvalidJSON      = refuse(http.StatusBadRequest, 50109, "The request body contains invalid JSON.")
)

// formError collects what is wrong with a form, each complaint at its path.
// The zero value is ready to use.
type formError struct {
	tree  map[string]any
	count int // of complaints
}

type complaint struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// add notes a complaint at a dotted path such as "embeds.0.title"; an empty
// path is the form itself.
func (f *formError) add(path, code, message string) {
	if f.tree == nil {
		f.tree = map[string]any{}
	}
	f.count++
	node := f.tree
	if path != "" {
		for part := range strings.SplitSeq(path, ".") {
			child, ok := node[part].(map[string]any)
			if !ok {
				child = map[string]any{}
				node[part] = child
			}
			node = child
		}
	}
	list, _ := node["_errors"].([]complaint)
	node["_errors"] = append(list, complaint{code, message})
}

// clean reports whether there is no complaint at a path and below it.
func (f *formError) clean(path string) bool {
	node := f.tree
	for part := range strings.SplitSeq(path, ".") {
		node, _ = node[part].(map[string]any)
	}
	return len(node) == 0
}

// err returns nil when nothing was complained about.
func (f *formError) err() error {
	if f.tree == nil {
		return nil
	}
	return &apiError{Status: http.StatusBadRequest, Code: 50035, Message: "Invalid Form Body", Errors: f.tree}
}

// invalid is a form error with a single complaint.
func invalid(path, code, message string) error {
	var f formError
	f.add(path, code, message)
	return f.err()
}

// legacyShape returns a form error as versions 6 and 7 write it: top-level
// fields only and no code.
func legacyShape(tree map[string]any) map[string][]string {
	out := map[string][]string{}
	for field, v := range tree {
		node, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if list, ok := node["_errors"].([]complaint); ok {
			for _, c := range list {
				out[field] = append(out[field], c.Message)
			}
			continue
		}
		out[field] = slices.Sorted(maps.Keys(node))
	}
	return out
}
