package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
)

// TestSelectsAndModals: a user presses, selects and submits, and the bot receives the values.
func TestSelectsAndModals(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(0)
	open := r.as("")
	row := func(component obj) obj { return obj{"type": 1, "components": []obj{component}} }
	r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "pick", "components": []obj{
		row(obj{"type": 3, "custom_id": "s", "max_values": 2, "options": []obj{{"label": "A", "value": "a"}, {"label": "B", "value": "b"}}}),
		row(obj{"type": 7, "custom_id": "m", "max_values": 3}),
		row(obj{"type": 8, "custom_id": "c", "min_values": 0}),
		row(obj{"type": 2, "style": 1, "label": "x", "custom_id": "b"}),
		row(obj{"type": 2, "style": 1, "label": "x", "custom_id": "off", "disabled": true}),
	}}).is(200)
	r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "pick", "components": []obj{
		row(obj{"type": 8, "custom_id": "v", "channel_types": []string{"2"}}),
	}}).is(200)
	use := func(u sandbox.Use) obj {
		t.Helper()
		r.use(u)
		return c.event("INTERACTION_CREATE")
	}
	data := use(sandbox.Use{CustomID: "b"})["data"].(obj)
	equal(t, "button", fmt.Sprint(data), "map[component_type:2 custom_id:b id:8]")
	data = use(sandbox.Use{CustomID: "s", Values: []string{"b", "a"}})["data"].(obj)
	equal(t, "options", fmt.Sprint(data), "map[component_type:3 custom_id:s id:2 values:[b a]]")
	data = use(sandbox.Use{CustomID: "m", Values: []string{r.w.Bob.String(), r.w.MemberRole.String()}})["data"].(obj)
	equal(t, "type", data["component_type"], any(7.0))
	found := data["resolved"].(obj)
	equal(t, "user", found["users"].(obj)[r.w.Bob.String()].(obj)["username"], any("bob"))
	equal(t, "member", found["members"].(obj)[r.w.Bob.String()].(obj)["user"], nil)
	equal(t, "role", found["roles"].(obj)[r.w.MemberRole.String()].(obj)["name"], any("member"))
	in := use(sandbox.Use{CustomID: "c", User: r.w.Bob, Values: []string{r.w.Random.String()}})
	equal(t, "channel", in["data"].(obj)["resolved"].(obj)["channels"].(obj)[r.w.Random.String()].(obj)["name"], any("random"))
	equal(t, "values", fmt.Sprint(use(sandbox.Use{CustomID: "c"})["data"].(obj)["values"]), "[]")
	in = use(sandbox.Use{CustomID: "v", Values: []string{r.w.Voice.String()}})
	equal(t, "voice channel", fmt.Sprint(in["data"].(obj)["values"]), path("[%d]", r.w.Voice))
	data = use(sandbox.Use{Name: "Report", Target: r.w.Bob})["data"].(obj)
	equal(t, "target", data["target_id"], any(r.w.Bob.String()))

	for _, wrong := range []sandbox.Use{
		{CustomID: "nothing"},
		{CustomID: "off"},
		{CustomID: "b", Values: []string{"x"}},
		{CustomID: "s"},
		{CustomID: "s", Values: []string{"z"}},
		{CustomID: "s", Values: []string{"a", "b", "a"}},
		{CustomID: "s", Values: []string{"a", "a"}},
		{CustomID: "v", Values: []string{r.w.Random.String()}},
		{CustomID: "c", Values: []string{"x"}},
		{CustomID: "c", Values: []string{"5"}},
		{CustomID: "b", Message: r.w.Pinned},
		{Fields: map[string]any{}},
	} {
		wrong.Channel = r.w.General
		if _, err := r.Interact(wrong); err == nil {
			t.Errorf("accepted %+v", wrong)
		}
	}

	modal := obj{"type": 9, "data": obj{"custom_id": "form", "title": "A form", "components": []obj{
		row(obj{"type": 4, "custom_id": "why", "label": "Why", "style": 1, "max_length": 5}),
		{"type": 10, "content": "And then"},
		{"type": 18, "label": "Who", "component": obj{"type": 5, "custom_id": "who"}},
		{"type": 18, "label": "What", "component": obj{"type": 21, "custom_id": "what", "options": []obj{{"label": "A", "value": "a"}, {"label": "B", "value": "b"}}}},
		{"type": 18, "label": "File", "component": obj{"type": 19, "custom_id": "file", "required": false}},
	}}}
	callback, _ := r.use(sandbox.Use{CustomID: "b"})
	message := c.event("INTERACTION_CREATE")["message"].(obj)["id"]
	open.do("POST", callback, modal).is(204)
	in = use(sandbox.Use{CustomID: "form", Fields: map[string]any{"why": "so", "who": r.w.Bob.String(), "what": "b", "file": "a.png"}})
	equal(t, "message", in["message"].(obj)["id"], message)
	data = in["data"].(obj)
	list := data["components"].([]any)
	equal(t, "text", fmt.Sprint(list[0]), "map[components:[map[custom_id:why id:2 type:4 value:so]] id:1 type:1]")
	equal(t, "select", fmt.Sprint(list[2].(obj)["component"].(obj)["values"]), path("[%d]", r.w.Bob))
	equal(t, "radio", list[3].(obj)["component"].(obj)["value"], any("b"))
	equal(t, "user", data["resolved"].(obj)["users"].(obj)[r.w.Bob.String()].(obj)["username"], any("bob"))
	file := list[4].(obj)["component"].(obj)["values"].([]any)[0].(string)
	equal(t, "file", data["resolved"].(obj)["attachments"].(obj)[file].(obj)["filename"], any("a.png"))
	for _, wrong := range []map[string]any{
		{"why": "too long", "who": r.w.Bob.String(), "what": "a"},
		{"who": r.w.Bob.String(), "what": "a"},
		{"why": "x", "who": "x", "what": "a"},
		{"why": "x", "who": r.w.Bob.String(), "what": "a", "more": "x"},
		{"why": "x", "who": r.w.Bob.String(), "what": "c"},
		{"why": 5, "who": r.w.Bob.String(), "what": "a"},
	} {
		if _, err := r.Interact(sandbox.Use{Channel: r.w.General, Fields: wrong}); err == nil {
			t.Errorf("accepted %+v", wrong)
		}
	}
	callback, _ = r.use(sandbox.Use{})
	open.do("POST", callback, obj{"type": 9, "data": obj{"custom_id": "f", "title": "t", "components": []obj{row(obj{"type": 4, "custom_id": "x", "style": 9})}}}).
		complains("data.components.0.components.0.style", "NUMBER_TYPE_MAX")
}

// TestNumbersOfSelects compares what selects may take with what Discord refuses.
// See https://github.com/discord/discord-api-docs/issues/7800 and
// https://github.com/Would-You-Bot/client/issues/304.
func TestNumbersOfSelects(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	open := r.as("")
	pick := func(more obj) obj {
		s := obj{"type": 3, "custom_id": "s", "options": []obj{{"label": "A", "value": "a"}, {"label": "B", "value": "b"}}}
		for name, value := range more {
			s[name] = value
		}
		return s
	}
	for _, test := range []struct {
		more       obj
		path, code string // empty if Discord accepts it
		modal      bool   // whether only modals refuse it
	}{
		{obj{}, "", "", false},
		{obj{"min_values": 2, "max_values": 2}, "", "", false},
		{obj{"min_values": 0, "required": false}, "", "", false},
		{obj{"min_values": 2}, "min_values", "NUMBER_TYPE_MAX", false},
		{obj{"min_values": 26}, "min_values", "NUMBER_TYPE_MAX", false},
		{obj{"max_values": 0}, "max_values", "NUMBER_TYPE_MIN", false},
		{obj{"max_values": 3}, "options", "BASE_TYPE_BAD_LENGTH", false},
		{obj{"min_values": 0, "required": true}, "min_values", "SELECT_COMPONENT_REQUIRED_ZERO_MIN_VALUES", false},
		{obj{"min_values": 0}, "min_values", "SELECT_COMPONENT_REQUIRED_ZERO_MIN_VALUES", true},
		{obj{"options": []obj{{"label": "A", "value": "a"}, {"label": "B", "value": "a"}}}, "options.1", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", false},
	} {
		a := r.do("POST", path("/channels/%d/messages", r.w.General), obj{"components": []obj{{"type": 1, "components": []obj{pick(test.more)}}}})
		if test.path == "" || test.modal {
			a.is(200)
		} else {
			a.complains("components.0.components.0."+test.path, test.code)
		}
		callback, _ := r.use(sandbox.Use{})
		a = open.do("POST", callback, obj{"type": 9, "data": obj{"custom_id": "f", "title": "t", "components": []obj{{"type": 18, "label": "L", "component": pick(test.more)}}}})
		if test.path == "" {
			a.is(204)
		} else {
			a.complains("data.components.0.component."+test.path, test.code)
		}
	}
}

// TestMetadataOfAnswers compares what messages say of the interactions that they
// answer with Discord's description.
func TestMetadataOfAnswers(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	open := r.as("")
	pressed := r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "press", "components": aButton}).message()
	promise := func(u sandbox.Use) obj {
		t.Helper()
		callback, hook := r.use(u)
		open.do("POST", callback, obj{"type": 5}).is(204)
		open.do("PATCH", hook+"/messages/@original", obj{"content": "done"}).is(200)
		more := open.do("POST", hook, obj{"content": "more"}).is(200).object()
		first := open.do("GET", hook+"/messages/@original", nil).is(200).object()
		equal(t, "original", more["interaction_metadata"].(obj)["original_response_message_id"], first["id"])
		return first
	}
	equal(t, "of a command", promise(sandbox.Use{})["type"], any(20.0))
	m := promise(sandbox.Use{CustomID: "b"})
	equal(t, "of a component", m["interaction_metadata"].(obj)["interacted_message_id"], any(pressed.ID.String()))
	equal(t, "replied to", m["message_reference"].(obj)["message_id"], any(pressed.ID.String()))
	for kind, opener := range map[float64]sandbox.Use{2: {}, 3: {CustomID: "b"}} {
		callback, _ := r.use(opener)
		open.do("POST", callback, obj{"type": 9, "data": obj{"custom_id": "f", "title": "t", "components": []obj{{"type": 1, "components": []obj{{"type": 4, "custom_id": "x", "style": 1}}}}}}).is(204)
		m = promise(sandbox.Use{Fields: map[string]any{"x": "y"}})
		equal(t, "of a modal", m["interaction_metadata"].(obj)["triggering_interaction_metadata"].(obj)["type"], any(kind))
	}
}

// TestMediaOfComponents: components show files and images.
func TestMediaOfComponents(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	send := func(components string) *answer {
		t.Helper()
		body := "--x\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n" + `{"flags":32768,"components":` + components + "}\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a b.png\"\r\nContent-Type: image/png\r\n\r\npng\r\n--x--\r\n"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path("http://sandbox/api/v10/channels/%d/messages", r.w.General), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		return r.send(req)
	}
	m := send(`[{"type":13,"file":{"url":"attachment://a b.png"}},{"type":12,"items":[{"media":{"url":"attachment://a_b.png"},"description":null},{"media":{"url":"https://example.org/b.png"}}]},
		{"type":9,"components":[{"type":10,"content":"t"}],"accessory":{"type":11,"media":{"url":"https://example.org/c.png"}}},{"type":14},{"type":17,"components":[{"type":10,"content":"u"}]}]`).message()
	file := m.Components[0]
	equal(t, "name", file["name"], any("a_b.png"))
	equal(t, "size", file["size"], any(3.0))
	equal(t, "spoiler", file["spoiler"], any(false))
	media := file["file"].(obj)
	equal(t, "url", media["url"], any(m.Attachments[0].URL))
	equal(t, "attachment", media["attachment_id"], any(m.Attachments[0].ID.String()))
	if media["proxy_url"] == "" || media["id"] == "" {
		t.Error(media)
	}
	items := m.Components[1]["items"].([]any)
	equal(t, "second", items[1].(obj)["media"].(obj)["url"], any("https://example.org/b.png"))

	// What came back can be sent again in an edit.
	r.do("PATCH", path("/channels/%d/messages/%d", r.w.General, m.ID), obj{"components": m.Components, "attachments": []obj{{"id": m.Attachments[0].ID}}}).is(200)
	send(`[{"type":13,"file":{"url":"attachment://other.png"}}]`).complains("components.0.file.url", "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND")
	send(`[{"type":13,"file":{"url":"https://example.org/a.png"}}]`).complains("components.0.file.url", "URL_TYPE_INVALID_SCHEME")
	send(`[{"type":12,"items":[{"media":{"url":"ftp://example.org/a.png"}}]}]`).complains("components.0.items.0.media.url", "URL_TYPE_INVALID_SCHEME")
	send(`[{"type":12,"items":[{"media":5}]}]`).complains("components.0.items.0.media", "DICT_TYPE_CONVERT")
	send(`[{"type":12,"items":[{}]}]`).complains("components.0.items.0.media", "BASE_TYPE_REQUIRED")
}

// TestCallbackHeaders: responses to interactions announce no limit.
func TestCallbackHeaders(t *testing.T) {
	r := newRig(t, sandbox.Config{})
	callback, hook := r.use(sandbox.Use{})
	a := r.as("").do("POST", callback, obj{"type": 5}).is(204)
	for name := range a.header {
		if strings.HasPrefix(strings.ToLower(name), "x-ratelimit") {
			t.Errorf("%s: %s", name, a.header.Get(name))
		}
	}
	if a = r.as("").do("PATCH", hook+"/messages/@original", obj{"content": "x"}).is(200); a.header.Get("X-Ratelimit-Bucket") == "" {
		t.Error("further answers show no limit")
	}
}

// TestOptionsOfCommands uses a command whose options Discord's client would check.
func TestOptionsOfCommands(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(0)
	r.do("PUT", path("/applications/%d/commands", r.w.Bot), []obj{
		{"name": "roll", "description": "d", "options": []obj{
			{"type": 4, "name": "sides", "description": "d", "required": true, "min_value": 2, "max_value": 20},
			{"type": 3, "name": "mood", "description": "d", "choices": []obj{{"name": "Good", "value": "good"}, {"name": "Bad", "value": "bad"}}},
			{"type": 3, "name": "text", "description": "d", "min_length": 2, "max_length": 3},
			{"type": 5, "name": "loud", "description": "d"},
			{"type": 6, "name": "who", "description": "d"},
			{"type": 10, "name": "speed", "description": "d", "max_value": 1.5},
		}},
		{"name": "tag", "description": "d", "options": []obj{
			{"type": 1, "name": "list", "description": "d"},
			{"type": 2, "name": "edit", "description": "d", "options": []obj{
				{"type": 1, "name": "add", "description": "d", "options": []obj{{"type": 3, "name": "name", "description": "d", "required": true, "autocomplete": true}}},
			}},
		}},
	}).is(200)
	use := func(name, options string) obj {
		t.Helper()
		r.use(sandbox.Use{Name: name, Options: []byte(options)})
		return c.event("INTERACTION_CREATE")["data"].(obj)
	}
	data := use("roll", path(`[{"name":"sides","value":20},{"name":"mood","value":"bad"},{"name":"text","value":"äöü"},{"name":"loud","value":false},{"name":"who","value":"%d"},{"name":"speed","value":1.5}]`, r.w.Bob))
	equal(t, "integer", fmt.Sprint(data["options"].([]any)[0]), "map[name:sides type:4 value:20]")
	equal(t, "user", data["resolved"].(obj)["users"].(obj)[r.w.Bob.String()].(obj)["username"], any("bob"))
	data = use("tag", `[{"name":"list"}]`)
	equal(t, "subcommand", fmt.Sprint(data["options"]), "[map[name:list options:[] type:1]]")
	data = use("tag", `[{"name":"edit","options":[{"name":"add","options":[{"name":"name","type":3,"value":"x"}]}]}]`)
	equal(t, "group", fmt.Sprint(data["options"]), "[map[name:edit options:[map[name:add options:[map[name:name type:3 value:x]] type:1]] type:2]]")
	r.use(sandbox.Use{Type: sandbox.InteractionAutocomplete, Name: "roll", Options: []byte(`[{"name":"sides","value":"1","focused":true}]`)})
	equal(t, "typing", fmt.Sprint(c.event("INTERACTION_CREATE")["data"].(obj)["options"]), "[map[focused:true name:sides type:4 value:1]]")

	for _, wrong := range []struct{ name, options string }{
		{"roll", ""},
		{"roll", "{}"},
		{"roll", `[{"name":"sides","value":21}]`},
		{"roll", `[{"name":"sides","value":1}]`},
		{"roll", `[{"name":"sides","value":2.5}]`},
		{"roll", `[{"name":"sides","value":"6"}]`},
		{"roll", `[{"name":"sides","type":3,"value":6}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"sides","value":6}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"colour","value":"red"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"mood","value":"so so"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"text","value":"x"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"text","value":"four"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"text","value":5}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"loud","value":"true"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"who","value":"bob"}]`},
		{"roll", `[{"name":"sides","value":6},{"name":"speed","value":2}]`},
		{"tag", ""},
		{"tag", `[{"name":"edit"}]`},
		{"tag", `[{"name":"edit","options":[{"name":"add"}]}]`},
		{"tag", `[{"name":"list"},{"name":"edit"}]`},
	} {
		if _, err := r.Interact(sandbox.Use{Channel: r.w.General, Name: wrong.name, Options: []byte(wrong.options)}); err == nil {
			t.Errorf("accepted %s of %s", wrong.options, wrong.name)
		}
	}
}
