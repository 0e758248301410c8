package message

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// partFlags are the options for what a message contains in addition to its text.
func partFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "embed-title", Usage: "`TITLE` of an embed"},
		&cli.StringFlag{Name: "embed-description", Usage: "`TEXT` of an embed"},
		&cli.StringSliceFlag{
			Name:      "embed-file",
			TakesFile: true,
			Usage:     "`FILE` with an embed as a JSON object, as Discord documents it; repeatable",
		},
		&cli.StringSliceFlag{Name: "file", TakesFile: true, Usage: "`FILE` to attach; repeatable"},
	}
}

// newMessageFlags are the options of all commands that post a message.
func newMessageFlags() []cli.Flag {
	return append(partFlags(), &cli.BoolFlag{Name: "silent", Usage: "send without push and desktop notifications"})
}

// addsToText reports whether there is something to send without a text.
func addsToText(c *cli.Context) bool {
	for _, f := range partFlags() {
		if c.IsSet(f.Names()[0]) {
			return true
		}
	}
	return false
}

// message puts a message together from the text and the options.
func (r *request) message() (*pb.NewMessage, error) {
	m := &pb.NewMessage{SuppressNotifications: r.flags.Bool("silent")}
	if r.text != nil {
		m.Content = *r.text
	}
	title, description := r.flags.String("embed-title"), r.flags.String("embed-description")
	for what, text := range map[string]string{"the text": m.GetContent(), "--embed-title": title, "--embed-description": description} {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("%s is not UTF-8", what)
		}
	}
	if title != "" || description != "" {
		m.Embeds = append(m.Embeds, &pb.Embed{Title: title, Description: description})
	}
	for _, path := range r.flags.StringSlice("embed-file") {
		embed, err := r.embed(path)
		if err != nil {
			return nil, err
		}
		m.Embeds = append(m.Embeds, embed)
	}
	for _, path := range r.flags.StringSlice("file") {
		data, err := r.input.read(path, "--file", maxFileBytes)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(path)
		if path == "-" {
			name = "stdin.txt"
		}
		m.Attachments = append(m.Attachments, &pb.AttachmentRequest{Filename: strings.ToValidUTF8(name, "_"), Data: data})
	}
	return m, nil
}

// embed reads Discord's embed object. The API has its names, and those of
// the fields that only Discord can set are of no use here, so that its JSON form
// is the object.
// https://discord.com/developers/docs/resources/message#embed-object
func (r *request) embed(path string) (*pb.Embed, error) {
	data, err := r.input.read(path, "--embed-file", maxTextBytes)
	if err != nil {
		return nil, err
	}
	embed := new(pb.Embed)
	if err := protojson.Unmarshal(data, embed); err != nil {
		// The text begins with the name of the library, with spaces that vary.
		text := strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0")
		return nil, fmt.Errorf("--embed-file %s: %s", path, oneLine(text))
	}
	if proto.Size(embed) == 0 {
		return nil, fmt.Errorf("--embed-file %s: the embed is empty", path)
	}
	return embed, nil
}
