// Package harness holds what the programs of all Go libraries share: the
// configuration, the control of the sandbox, and events that a step waits for.
package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const patience = time.Minute

// Config says what the program connects to and what is there.
var Config struct {
	API      string   `json:"api"`
	Gateway  string   `json:"gateway"`
	Control  string   `json:"control"`
	Token    string   `json:"token"`
	General  string   `json:"general"`
	Quiet    string   `json:"quiet"`
	Bob      string   `json:"bob"`
	Guild    string   `json:"guild"`
	Channels []string `json:"channels"`
}

func init() { Must(json.Unmarshal([]byte(os.Getenv("LIBRARY")), &Config)) }

// Must ends the program when a step has failed.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Check ends the program unless a condition holds.
func Check(ok bool, what ...any) {
	if !ok {
		panic(fmt.Sprint(what...))
	}
}

type object = map[string]any

// control controls the sandbox, as the people who use the bot would act in
// Discord.
func control(method, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, Config.Control+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s", method, path, b)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

// Say posts a message as a person.
func Say(content string) {
	Must(control("POST", "channels/"+Config.General+"/messages", object{"content": content, "author": object{"id": Config.Bob}}, nil))
}

func use(what object) error {
	return control("POST", "channels/"+Config.General+"/interactions", what, nil)
}

// until waits for a condition.
func until(what string, done func() bool) {
	for end := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		Check(time.Now().Before(end), what, " did not happen")
	}
}

func answered(content string) {
	until("the answer "+content, func() bool {
		var messages []struct{ Content string }
		Must(control("GET", "channels/"+Config.General+"/messages", nil, &messages))
		return messages[len(messages)-1].Content == content
	})
}

// Passed reports a step.
func Passed(step string) { fmt.Println("passed", step) }

// Listens reports whether the program only writes when its session begins, and what it
// hears, until it is killed.
func Listens() bool { return len(os.Args) > 1 && os.Args[1] == "listen" }

// Ready reports the beginning of a session to the test of a listener.
func Ready() { fmt.Println("ready") }

// Heard reports a message to the test of a listener.
func Heard(content string) { fmt.Println("heard", content) }

var (
	mu    sync.Mutex
	heard []string
)

// Hear notes an event.
func Hear(kind, value string) {
	mu.Lock()
	defer mu.Unlock()
	heard = append(heard, kind+" "+value)
}

// Hears waits for an event.
func Hears(kind, value string) {
	until(kind+" "+value, func() bool {
		mu.Lock()
		defer mu.Unlock()
		i := slices.Index(heard, kind+" "+value)
		heard = heard[i+1:]
		return i >= 0
	})
}

// Interact uses the command of the bot, its button, its modal and its select.
func Interact() {
	Must(use(object{"name": "hello", "options": []object{{"name": "who", "type": 3, "value": "you"}}}))
	answered("hello you")
	Passed("command")
	Must(use(object{"custom_id": "button"}))
	until("the modal", func() bool { return use(object{"custom_id": "form", "fields": object{"why": "because"}}) == nil })
	answered("why: because")
	Passed("button")
	Passed("modal")
	Must(use(object{"custom_id": "select", "values": []string{"b"}}))
	answered("picked b")
	Passed("select")
}

// Resume cuts the bot's connection while somebody writes.
func Resume() {
	Must(control("POST", "gateway/drop", object{}, nil))
	Say("while you were away")
	Hears("message", "while you were away")
	var gateway struct {
		Counts struct{ Resumes, Identifies int }
	}
	Must(control("GET", "gateway", nil, &gateway))
	Check(gateway.Counts.Resumes >= 1 && gateway.Counts.Identifies == 1, gateway.Counts)
	Passed("resume")
}

// Fill fills a channel with 120 messages.
func Fill() {
	Must(control("POST", "gateway/burst", object{"count": 120, "message": object{"channel_id": Config.Quiet, "content": "old"}}, nil))
}

// Descending checks a history of 120 messages, newest first.
func Descending(ids []string) {
	Check(len(ids) == 120, "a history of ", len(ids))
	Check(slices.IsSortedFunc(ids, func(a, b string) int { return len(b) - len(a) }) && slices.IsSortedFunc(ids, func(a, b string) int {
		if a > b {
			return -1
		}
		return 1
	}), "a history out of order")
	Passed("history")
}

// InOrder sends ten messages to each of six channels.
func InOrder(send func(channel, content string) error) {
	var sending sync.WaitGroup
	for _, channel := range Config.Channels {
		sending.Go(func() {
			for i := range 10 {
				Must(send(channel, fmt.Sprint("number ", i)))
			}
		})
	}
	sending.Wait()
	Passed("order")
}
