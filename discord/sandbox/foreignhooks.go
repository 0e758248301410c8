package sandbox

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// slackBody is a message in the form of Slack's incoming webhooks, as far as
// Discord takes it.
// https://discord.com/developers/docs/resources/webhook#execute-slackcompatible-webhook
type slackBody struct {
	Text        string `json:"text"`
	Username    string `json:"username"`
	IconURL     string `json:"icon_url"`
	Attachments []struct {
		Fallback   string          `json:"fallback"`
		Pretext    string          `json:"pretext"`
		Color      string          `json:"color"`
		AuthorName string          `json:"author_name"`
		AuthorLink string          `json:"author_link"`
		AuthorIcon string          `json:"author_icon"`
		Title      string          `json:"title"`
		TitleLink  string          `json:"title_link"`
		Text       string          `json:"text"`
		ImageURL   string          `json:"image_url"`
		ThumbURL   string          `json:"thumb_url"`
		Footer     string          `json:"footer"`
		Timestamp  json.RawMessage `json:"ts"` // seconds since 1970, a number or text
		Fields     []struct {
			Title string `json:"title"`
			Value string `json:"value"`
			Short bool   `json:"short"`
		} `json:"fields"`
	} `json:"attachments"`
}

// slackColors are the names of colors that Slack has.
var slackColors = map[string]int{"good": 0x2fa44f, "warning": 0xde9e31, "danger": 0xd50200}

// fields drops what is empty of the fields of a JSON object, so that a form that
// names an empty field counts as one that leaves it out.
func fields(object map[string]any) map[string]any {
	for name, value := range object {
		if value == "" || value == nil {
			delete(object, name)
		}
	}
	return object
}

// message returns the message in Discord's own form.
func (b *slackBody) message() map[string]any {
	var embeds []any
	content := b.Text
	for _, a := range b.Attachments {
		if a.Pretext != "" {
			content = strings.TrimSpace(content + "\n" + a.Pretext)
		}
		embed := fields(map[string]any{"title": a.Title, "url": a.TitleLink, "description": a.Text})
		if a.Text == "" && a.Title == "" {
			embed["description"] = a.Fallback
		}
		if color, ok := slackColors[a.Color]; ok {
			embed["color"] = color
		} else if color, err := strconv.ParseUint(strings.TrimPrefix(a.Color, "#"), 16, 24); err == nil {
			embed["color"] = color
		}
		if a.AuthorName != "" {
			embed["author"] = fields(map[string]any{"name": a.AuthorName, "url": a.AuthorLink, "icon_url": a.AuthorIcon})
		}
		if a.ImageURL != "" {
			embed["image"] = map[string]any{"url": a.ImageURL}
		}
		if a.ThumbURL != "" {
			embed["thumbnail"] = map[string]any{"url": a.ThumbURL}
		}
		if a.Footer != "" {
			embed["footer"] = map[string]any{"text": a.Footer}
		}
		if at, err := strconv.ParseFloat(strings.Trim(string(a.Timestamp), `"`), 64); err == nil {
			embed["timestamp"] = time.Unix(int64(at), 0).UTC().Format(time.RFC3339)
		}
		var list []any
		for _, f := range a.Fields {
			list = append(list, map[string]any{"name": f.Title, "value": f.Value, "inline": f.Short})
		}
		if list != nil {
			embed["fields"] = list
		}
		embeds = append(embeds, embed)
	}
	message := fields(map[string]any{"content": content, "username": b.Username, "avatar_url": b.IconURL})
	if embeds != nil {
		message["embeds"] = embeds
	}
	return message
}

// payload decodes a body that may be in the field payload of a form.
func (c *call) payload(into any) error {
	var form struct {
		Payload *string `json:"payload"`
	}
	if c.decode(&form) == nil && form.Payload != nil {
		c.body = []byte(*form.Payload)
	}
	return c.decode(into)
}

// executeAs executes the webhook of a call with another body.
func (s *Sandbox) executeAs(c *call, message map[string]any) (err error) {
	if c.body, err = json.Marshal(message); err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	c.keys = nil
	_, err = s.executeWebhook(c)
	return err
}

func (s *Sandbox) executeSlack(c *call) (any, error) {
	var body slackBody
	if err := c.payload(&body); err != nil {
		return nil, err
	}
	if err := s.executeAs(c, body.message()); err != nil {
		return nil, err
	}
	return "ok", nil
}

// githubBody contains the common fields of the GitHub events that Discord shows.
type githubBody struct {
	Action  string `json:"action"`
	Ref     string `json:"ref"`
	Compare string `json:"compare"`
	Commits []struct {
		ID      string `json:"id"`
		Message string `json:"message"`
		URL     string `json:"url"`
	} `json:"commits"`
	Issue       *githubThing `json:"issue"`
	PullRequest *githubThing `json:"pull_request"`
	Release     *githubThing `json:"release"`
	Comment     *githubThing `json:"comment"`
	Repository  struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Sender struct {
		Login     string `json:"login"`
		AvatarURL string `json:"avatar_url"`
	} `json:"sender"`
}

type githubThing struct {
	Number  int    `json:"number"`
	Title   string `json:"title"`
	Name    string `json:"name"`
	Body    string `json:"body"`
	HTMLURL string `json:"html_url"`
}

// embed returns what Discord shows of an event, or nil of one that it ignores.
func (b *githubBody) embed(event string) map[string]any {
	about := func(thing *githubThing, what string) map[string]any {
		if thing == nil {
			return nil
		}
		title := thing.Title + thing.Name
		if thing.Number != 0 {
			title = fmt.Sprintf("#%d: %s", thing.Number, title)
		}
		return map[string]any{
			"title":       fmt.Sprintf("[%s] %s %s: %s", b.Repository.FullName, what, b.Action, title),
			"url":         thing.HTMLURL,
			"description": thing.Body,
		}
	}
	switch event {
	case "push":
		if len(b.Commits) == 0 {
			return nil
		}
		var lines []string
		for _, commit := range b.Commits {
			subject, _, _ := strings.Cut(commit.Message, "\n")
			lines = append(lines, fmt.Sprintf("[`%.7s`](%s) %s", commit.ID, commit.URL, subject))
		}
		title := fmt.Sprintf("[%s:%s] %d new commit", b.Repository.FullName, strings.TrimPrefix(b.Ref, "refs/heads/"), len(lines))
		if len(lines) > 1 {
			title += "s"
		}
		return map[string]any{"title": title, "url": b.Compare, "description": strings.Join(lines, "\n")}
	case "issues":
		return about(b.Issue, "Issue")
	case "pull_request":
		return about(b.PullRequest, "Pull request")
	case "release":
		return about(b.Release, "Release")
	case "issue_comment":
		if b.Issue == nil || b.Comment == nil {
			return nil
		}
		thing := *b.Issue
		thing.Body, thing.HTMLURL = b.Comment.Body, b.Comment.HTMLURL
		return about(&thing, "Comment on issue")
	}
	return nil
}

func (s *Sandbox) executeGitHub(c *call) (any, error) {
	var body githubBody
	if err := c.payload(&body); err != nil {
		return nil, err
	}
	if _, err := s.hook(c); err != nil {
		return nil, err
	}
	embed := body.embed(c.r.Header.Get("X-GitHub-Event"))
	if embed == nil {
		return nil, nil
	}
	embed = fields(embed)
	if body.Sender.Login != "" {
		embed["author"] = fields(map[string]any{"name": body.Sender.Login, "icon_url": body.Sender.AvatarURL})
	}
	return nil, s.executeAs(c, map[string]any{"embeds": []any{embed}})
}
