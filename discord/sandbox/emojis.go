package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	emojisPath            = "/guilds/{guild_id}/emojis"
	applicationEmojisPath = "/applications/{application_id}/emojis"
)

var emojiRoutes = []route{
	{method: "GET", template: emojisPath, handle: (*Sandbox).listEmojis},
	{method: "POST", template: emojisPath, handle: (*Sandbox).createEmoji, status: http.StatusCreated},
	{method: "GET", template: emojisPath + "/{emoji_id}", handle: (*Sandbox).getEmoji},
	{method: "PATCH", template: emojisPath + "/{emoji_id}", handle: (*Sandbox).modifyEmoji},
	{method: "DELETE", template: emojisPath + "/{emoji_id}", handle: (*Sandbox).deleteEmoji},
	{method: "GET", template: applicationEmojisPath, handle: (*Sandbox).listEmojis},
	{method: "POST", template: applicationEmojisPath, handle: (*Sandbox).createEmoji, status: http.StatusCreated},
	{method: "GET", template: applicationEmojisPath + "/{emoji_id}", handle: (*Sandbox).getEmoji},
	{method: "PATCH", template: applicationEmojisPath + "/{emoji_id}", handle: (*Sandbox).modifyEmoji},
	{method: "DELETE", template: applicationEmojisPath + "/{emoji_id}", handle: (*Sandbox).deleteEmoji},
}

// How many emojis a guild has of each kind, and an application in all.
const (
	maxEmojis            = 50
	maxApplicationEmojis = 2000
)

var emojiName = regexp.MustCompile(`^\w{2,32}$`)

// emojis finds the emojis that a call is about: those of a guild, or, without
// one, of the caller's application.
func (s *Sandbox) emojis(c *call, need Permissions) (*[]Emoji, *guild, error) {
	if c.id("application_id") != 0 {
		if c.id("application_id") != c.user.ID {
			return nil, nil, errApplication
		}
		return &c.user.emojis, nil, nil
	}
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, nil, err
	case p&need == 0 && need != 0:
		return nil, nil, errMissingPerms
	}
	return &g.Emojis, g, nil
}

func (s *Sandbox) listEmojis(c *call) (any, error) {
	list, g, err := s.emojis(c, 0)
	switch {
	case err != nil:
		return nil, err
	case g == nil:
		return map[string]any{"items": orEmpty(*list)}, nil
	}
	return orEmpty(*list), nil
}

func (s *Sandbox) oneEmoji(c *call, need Permissions) (list *[]Emoji, g *guild, i int, err error) {
	if list, g, err = s.emojis(c, need); err != nil {
		return nil, nil, 0, err
	}
	if i = slices.IndexFunc(*list, func(e Emoji) bool { return e.ID == c.id("emoji_id") }); i < 0 {
		return nil, nil, 0, refuse(http.StatusNotFound, 10014, "Unknown Emoji")
	}
	return list, g, i, nil
}

func (s *Sandbox) getEmoji(c *call) (any, error) {
	list, _, i, err := s.oneEmoji(c, 0)
	if err != nil {
		return nil, err
	}
	return (*list)[i], nil
}

type emojiBody struct {
	Name  *string  `json:"name"`
	Image string   `json:"image"`
	Roles *[]reqID `json:"roles"`
}

func (b *emojiBody) apply(f *formError, e *Emoji) {
	if b.Name != nil {
		if e.Name = *b.Name; !emojiName.MatchString(e.Name) {
			f.add("name", "STRING_TYPE_REGEX", "String value did not match validation regex.")
		}
	}
	if b.Roles != nil {
		e.Roles = []ID{}
		for i, r := range *b.Roles {
			f.id(join("roles", i), r)
			e.Roles = append(e.Roles, r.ID)
		}
	}
}

func (s *Sandbox) createEmoji(c *call) (any, error) {
	list, g, err := s.emojis(c, PermManageExpressions|PermCreateExpressions)
	if err != nil {
		return nil, err
	}
	var body emojiBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	e := Emoji{
		Roles:         []ID{},
		RequireColons: true,
		Available:     true,
		Animated:      strings.HasPrefix(body.Image, "data:image/gif"),
		User:          &c.user.User,
	}
	var f formError
	if body.Name == nil {
		f.required("name")
	}
	body.apply(&f, &e)
	switch {
	case body.Image == "":
		f.required("image")
	case !strings.HasPrefix(body.Image, "data:image/"):
		f.add("image", "IMAGE_INVALID", "Invalid image data")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	same := 0
	for _, o := range *list {
		if o.Animated == e.Animated || g == nil {
			same++
		}
	}
	switch {
	case g == nil && same >= maxApplicationEmojis:
		return nil, refuse(http.StatusBadRequest, 30008, "Maximum number of emojis reached (2000)")
	case g != nil && same >= maxEmojis && e.Animated:
		return nil, refuse(http.StatusBadRequest, 30018, "Maximum number of animated emojis reached (50)")
	case g != nil && same >= maxEmojis:
		return nil, refuse(http.StatusBadRequest, 30008, "Maximum number of emojis reached (50)")
	}
	e.ID = s.newID()
	*list = append(slices.Clone(*list), e)
	s.emojisChanged(c, g, auditCreated, e.ID, nil, e)
	return e, nil
}

func (s *Sandbox) modifyEmoji(c *call) (any, error) {
	list, g, i, err := s.oneEmoji(c, PermManageExpressions)
	if err != nil {
		return nil, err
	}
	var body emojiBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	before := (*list)[i]
	e := before
	var f formError
	if body.apply(&f, &e); f.err() != nil {
		return nil, f.err()
	}
	*list = slices.Clone(*list)
	(*list)[i] = e
	s.emojisChanged(c, g, auditUpdated, e.ID, before, e)
	return e, nil
}

func (s *Sandbox) deleteEmoji(c *call) (any, error) {
	list, g, i, err := s.oneEmoji(c, PermManageExpressions)
	if err != nil {
		return nil, err
	}
	e := (*list)[i]
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	s.emojisChanged(c, g, auditDeleted, e.ID, e, nil)
	return nil, nil
}

func (s *Sandbox) emojisChanged(c *call, g *guild, what int, id ID, before, after any) {
	if g == nil {
		return
	}
	s.audit(c, g.ID, auditEmoji+what, id, before, after)
	s.publish("GUILD_EMOJIS_UPDATE", g.ID, 0, func() any {
		return map[string]any{"guild_id": g.ID, "emojis": orEmpty(g.Emojis)}
	})
}
