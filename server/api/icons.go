package api

import (
	"log/slog"
	"net/url"
	"strings"
	"unicode/utf8"

	pb "discordproxy/gen/discord_api"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/protobuf/proto"
)

const (
	// maxURL is how many characters of an address Discord accepts.
	maxURL = 2048
	// loggedIcons is how many icons are remembered as logged already.
	loggedIcons = 1000
	// shownIcon is how many bytes of an icon's address are logged.
	shownIcon = 200
)

// icons leaves out the icons of embeds that Discord would refuse, because it
// refuses the whole message for them. Such an icon is decoration: callers
// often build its address from settings of their own and never look at it.
// Other addresses of an embed are left for Discord to judge. The methods are
// safe for concurrent use.
type icons struct {
	logger *slog.Logger
	logged *lru.Cache[string, struct{}]
}

func newIcons(logger *slog.Logger) *icons {
	logged, err := lru.New[string, struct{}](loggedIcons)
	if err != nil {
		panic(err) // the size is invalid
	}
	return &icons{logger, logged}
}

// clean returns the embed without the icons that Discord would refuse. The
// embed itself is not changed.
func (c *icons) clean(embed *pb.Embed) *pb.Embed {
	author := c.leaveOut("author.icon_url", embed.GetAuthor().GetIconUrl())
	footer := c.leaveOut("footer.icon_url", embed.GetFooter().GetIconUrl())
	if !author && !footer {
		return embed
	}
	embed = proto.CloneOf(embed)
	if author {
		embed.Author.IconUrl = ""
	}
	if footer {
		embed.Footer.IconUrl = ""
	}
	return embed
}

// leaveOut reports whether an icon is to be left out, and logs each such
// icon once.
func (c *icons) leaveOut(field, icon string) bool {
	if icon == "" {
		return false
	}
	reason := iconFault(icon)
	if reason == "" {
		return false
	}
	if len(icon) > shownIcon {
		icon = strings.ToValidUTF8(icon[:shownIcon], "") + "..."
	}
	if known, _ := c.logged.ContainsOrAdd(icon, struct{}{}); !known {
		c.logger.Warn("leaving out an embed's icon that Discord would refuse", "field", field, "icon", icon, "reason", reason)
	}
	return true
}

// iconFault returns why Discord would refuse the address of an icon, or "" if it
// accepts it.
func iconFault(icon string) string {
	if utf8.RuneCountInString(icon) > maxURL {
		return "it is longer than 2048 characters"
	}
	at, err := url.Parse(icon)
	if err != nil {
		return "it is not a well-formed URL"
	}
	switch strings.ToLower(at.Scheme) {
	case "attachment":
		if at.Host == "" {
			return "it names no file"
		}
		return ""
	case "http", "https":
	default:
		return "its scheme is not http, https or attachment"
	}
	if host := at.Hostname(); host == "" {
		return "it has no host"
	} else if !strings.Contains(strings.Trim(host, "."), ".") {
		return "its host has no dot"
	}
	return ""
}
