package discord

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/semaphore"
)

// TestErrorTextsAreCut: long texts in Discord's errors are cut, and stay valid text.
func TestErrorTextsAreCut(t *testing.T) {
	long := strings.Repeat("ü", 1<<17)
	body := `{"message":"` + long + `","code":50035,"errors":{"` + long + `":{"` + long + `":{"_errors":[{"code":"` + long + `","message":"` + long + `"}]}}}}`
	e := answerError(http.StatusBadRequest, http.Header{"X-Ratelimit-Scope": {long}}, []byte(body))
	if e.Code != 50035 || len(e.Fields) != 1 || !strings.HasPrefix(e.Text, "üü") || !strings.HasPrefix(e.Fields[0].Message, "üü") {
		t.Fatalf("it was not read: %d, %d fields", e.Code, len(e.Fields))
	}
	for text, limit := range map[string]int{
		e.Error(): 2500, e.Lines(): 3500, e.Text: 2003,
		e.Fields[0].Field: 203, e.Fields[0].Code: 103, e.Fields[0].Message: 1003,
		answerError(http.StatusTooManyRequests, http.Header{"X-Ratelimit-Scope": {long}}, nil).Limit: 103,
	} {
		if len(text) > limit || !utf8.ValidString(text) || len(text) < 100 {
			t.Errorf("%d bytes, limit %d: %.40q", len(text), limit, text)
		}
	}
}

// sized returns a client of an API that answers each request with the status
// and body that answer returns.
func sized(t *testing.T, answer func() (int, io.Reader)) *Client {
	client, err := New(Config{Token: "t", Logger: slog.New(slog.DiscardHandler), Upstream: roundTripper(func(r *http.Request) (*http.Response, error) {
		status, body := answer()
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(body), Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// jsonOf is a JSON string of n bytes.
// anyAnswer is an operation whose answer may be any JSON.
var anyAnswer = Operation{Name: "get_my_application", Method: http.MethodGet, Path: "/applications/@me"}

func jsonOf(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }

// TestHugeErrors: if an error response is too large, only its status counts, and callers
// get a document like Discord's.
func TestHugeErrors(t *testing.T) {
	huge := `{"message":"` + strings.Repeat("x", 30<<20) + `","code":7}`
	client := sized(t, func() (int, io.Reader) { return http.StatusForbidden, strings.NewReader(huge) })
	_, err := client.CheckToken(t.Context())
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusForbidden || e.Text != "Forbidden" || e.Code != 0 {
		t.Errorf("%.200v", err)
	}
	path, err := ParseAPIPath("/api/v10/users/@me")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Forward(t.Context(), nil, &Request{Method: http.MethodGet, Path: path})
	if err != nil || resp.Status != http.StatusForbidden || string(resp.Body) != `{"message":"Forbidden","code":0}` || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%.200s, %v", resp.Body, err)
	}
}

// TestAnswerSizes: a response of any size up to the limit is read completely.
func TestAnswerSizes(t *testing.T) {
	for _, n := range []int{2, smallAnswer - 1, smallAnswer, smallAnswer + 1, mediumAnswer - 1, mediumAnswer, mediumAnswer + 1, 3 << 20} {
		want := jsonOf(n)
		client := sized(t, func() (int, io.Reader) { return http.StatusOK, bytes.NewReader(want) })
		data, err := client.Call(t.Context(), nil, anyAnswer, nil)
		if err != nil || !bytes.Equal(data, want) {
			t.Errorf("%d bytes: %d, %v", n, len(data), err)
		}
		for _, pool := range []*semaphore.Weighted{client.transport.memory.medium, client.transport.memory.large} {
			if !pool.TryAcquire(mediumAnswers) {
				t.Errorf("%d bytes: memory stays reserved", n)
			}
		}
	}
}

// TestAnnouncedSizes: a response is read completely, whatever size its header announces.
func TestAnnouncedSizes(t *testing.T) {
	for _, n := range []int{2, 1000, smallAnswer, smallAnswer + 1, mediumAnswer + 1} {
		for _, announced := range []int64{-1, 0, 1, int64(n) - 1, int64(n), int64(n) + 1, 1 << 40} {
			want := jsonOf(n)
			client, err := New(Config{Token: "t", Upstream: roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(want)), ContentLength: announced, Request: r}, nil
			})})
			if err != nil {
				t.Fatal(err)
			}
			data, err := client.Call(t.Context(), nil, anyAnswer, nil)
			if err != nil || !bytes.Equal(data, want) {
				t.Errorf("%d bytes, announced as %d: %d, %v", n, announced, len(data), err)
			}
		}
	}
}

// counted counts the bytes that were read of it until it is done.
type counted struct {
	io.Reader
	now, peak *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if now := c.now.Add(int64(n)); now > c.peak.Load() {
		c.peak.Store(now)
	}
	time.Sleep(time.Millisecond)
	return n, err
}

// TestAnswersTogether: all answers in memory stay within the limit, every
// call gets its own in the end, and small ones never wait.
func TestAnswersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 3 << 20
		var now, peak atomic.Int64
		small := make(chan bool, 1)
		client := sized(t, func() (int, io.Reader) {
			select {
			case <-small:
				return http.StatusOK, strings.NewReader(`"x"`)
			default:
				return http.StatusOK, counted{bytes.NewReader(jsonOf(size)), &now, &peak}
			}
		})
		client.transport.memory = &answerPools{semaphore.NewWeighted(2 * mediumAnswer), semaphore.NewWeighted(40 << 20)}
		var calls sync.WaitGroup
		for range 30 {
			calls.Go(func() {
				by := &Caller{Memory: new(AnswerMemory)}
				defer by.Memory.Release()
				for range 2 { // the second one does not wait for the first one's memory
					data, err := client.Call(t.Context(), by, anyAnswer, nil)
					if err != nil || len(data) != size {
						t.Errorf("%d bytes, %v", len(data), err)
					}
					time.Sleep(time.Second) // the response is written
					now.Add(-size)
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		small <- true
		began := time.Now()
		if _, err := client.Call(t.Context(), nil, anyAnswer, nil); err != nil || time.Since(began) > 0 {
			t.Errorf("a small answer: %v after %v", err, time.Since(began))
		}
		calls.Wait()
		if limit := int64(42<<20 + 30*smallAnswer); peak.Load() > limit || peak.Load() < 2*size {
			t.Errorf("%d bytes at the same time, limit %d", peak.Load(), limit)
		}
	})
}

// TestNoMemoryForAnAnswer: a call that waits for memory without success ends at its deadline, and
// an error answer does not wait at all.
func TestNoMemoryForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		client := sized(t, func() (int, io.Reader) { return status, bytes.NewReader(jsonOf(100 << 10)) })
		if !client.transport.memory.medium.TryAcquire(mediumAnswers) {
			t.Fatal("no memory at the start")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		_, err := client.Call(ctx, nil, anyAnswer, nil)
		if e, ok := errors.AsType[*Error](err); !ok || e.Reason != DeadlineExceeded || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		status, began = http.StatusNotFound, time.Now()
		_, err = client.Call(t.Context(), nil, anyAnswer, nil)
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusNotFound || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestCheckTokenNeedsAUser: a 200 with something other than a user does not prove that
// the token is valid.
func TestCheckTokenNeedsAUser(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: "", `{}`: "", `null`: "", `"x"`: "", `1`: "", `{"username":"x"}`: "", `{"id":""}`: "", `{"id":"0"}`: "", `{"id":"x","username":"y"}`: "",
		`{"id":"-1"}`: "", `{"id":"99999999999999999999"}`: "", `[{"id":"1"}]`: "",
		`{"id":"1","username":"bot"}`: "bot", `{"id":"1","username":"bot","bot":true,"flags":{}}`: "bot",
	} {
		client := sized(t, func() (int, io.Reader) { return http.StatusOK, strings.NewReader(body) })
		name, err := client.CheckToken(t.Context())
		if name != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrNoUser) {
			t.Errorf("%s: %q, %v", body, name, err)
		}
	}
}
