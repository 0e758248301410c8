package discord

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord/ratelimit"
)

// Pattern is the method and the path with placeholders for ids and secrets,
// such as DELETE /channels/{channel_id}/messages/{message_id}. Other than the
// name of Route it does not depend on what is limited together.
func (r *Request) Pattern() string { return r.Method + " " + r.template() }

func (r *Request) template() string {
	// Only writes have anything that is limited together.
	return ratelimit.RouteOf(http.MethodGet, r.Path.below, "", time.Now()).Template
}

// PathIDs returns the ids in the path by the names of their placeholders. What
// stands in the place of a guild's, a channel's or a user's id without being
// one counts as id 0, since Discord could read it in another way.
func (r *Request) PathIDs() map[string][]uint64 {
	found := make(map[string][]uint64)
	template := strings.Split(r.template(), "/")
	before := ""
	for i, segment := range strings.Split(r.Path.below, "/") {
		placeholder := "{other}" // behind what any path of Discord has
		if i < len(template) {
			placeholder = template[i]
		}
		name := strings.Trim(placeholder, "{}")
		if name == "other" {
			switch before {
			case "guilds", "channels", "users":
				name = strings.TrimSuffix(before, "s") + "_id"
			}
		}
		if strings.HasSuffix(name, "_id") {
			found[name] = append(found[name], parseID(segment))
		}
		before = segment
	}
	return found
}

// OtherIDs returns the numbers in query and body by the names under which they
// stand. Whatever else stands there counts as id 0. An error means that the
// body cannot be read.
func (r *Request) OtherIDs() (map[string][]uint64, error) {
	found := make(map[string][]uint64)
	if err := addForm(found, r.Query); err != nil {
		return nil, err
	}
	if len(r.Body) == 0 {
		return found, nil
	}
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	switch mediaType {
	case "application/json":
		err = addJSON(found, r.Body)
	case "application/x-www-form-urlencoded":
		err = addForm(found, string(r.Body))
	case "multipart/form-data":
		err = addParts(found, multipart.NewReader(bytes.NewReader(r.Body), parameters["boundary"]))
	default:
		err = errors.New("the body's type is not known")
	}
	return found, err
}

func parseID(text string) uint64 {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0
	}
	return id
}

// plainName is a name of a field in a form: one with brackets or dots in it
// could mean something nested.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

var errFieldName = errors.New("the name of a field is not a plain word")

func addForm(found map[string][]uint64, text string) error {
	values, err := url.ParseQuery(text)
	if err != nil {
		return err
	}
	for name, list := range values {
		if !plainName.MatchString(name) {
			return errFieldName
		}
		for _, value := range list {
			found[name] = append(found[name], parseID(value))
		}
	}
	return nil
}

// files are the names of parts that hold files.
var files = regexp.MustCompile(`^files?(\[[0-9]+\])?$`)

func addParts(found map[string][]uint64, form *multipart.Reader) error {
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := part.FormName()
		switch {
		case part.Header.Get("Content-Transfer-Encoding") != "":
			return errors.New("a part is encoded")
		case files.MatchString(name):
		case !plainName.MatchString(name):
			return errFieldName
		default:
			value, err := io.ReadAll(part)
			if err != nil {
				return err
			}
			if name == "payload_json" {
				if err := addJSON(found, value); err != nil {
					return err
				}
				continue
			}
			found[name] = append(found[name], parseID(string(value)))
		}
	}
}

// addJSON reads every value, also one of a name that stands there twice, of
// which Discord takes one or the other.
func addJSON(found map[string][]uint64, data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := addValue(found, decoder, ""); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the JSON")
	}
	return nil
}

// addValue reads the next value, which stands under a name, or in a list that
// does.
func addValue(found map[string][]uint64, decoder *json.Decoder, name string) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case json.Delim:
		for decoder.More() {
			within := name
			if token == '{' {
				key, err := decoder.Token()
				if err != nil {
					return err
				}
				within, _ = key.(string) // a key is one
			}
			if err := addValue(found, decoder, within); err != nil {
				return err
			}
		}
		_, err := decoder.Token()
		return err
	case string:
		found[name] = append(found[name], parseID(token))
	case json.Number:
		found[name] = append(found[name], parseID(token.String()))
	case bool:
		found[name] = append(found[name], 0)
	}
	return nil
}
