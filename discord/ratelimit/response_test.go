package ratelimit

import (
	"math"
	"net/http"
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	const none = time.Duration(-1)
	for s, want := range map[string]time.Duration{
		"0":                        0,
		"0.001":                    time.Millisecond,
		"64.57":                    64570 * time.Millisecond,
		"5.":                       5 * time.Second,
		".5":                       500 * time.Millisecond,
		"1e-3":                     time.Millisecond,
		"1.0000001":                time.Second + time.Microsecond, // never less than what was asked for
		"0.00000000000000000001":   time.Microsecond,
		"604800":                   maxHeaderWait,
		"604800.000000001":         none,
		"9999999999.999999999":     none,
		"99999999999999999999":     none,
		"1682258040.904":           none,
		"":                         none,
		".":                        none,
		"1.2.3":                    none,
		"-1":                       none,
		"1 ":                       none,
		"NaN":                      none,
		"Inf":                      none,
		"1e400":                    none,
		"0000000000000000000000.5": 500 * time.Millisecond,
	} {
		got, ok := seconds(s)
		if ok != (want != none) || ok && got != want {
			t.Errorf("%q are %v, %t; want %v", s, got, ok, want)
		}
	}
	if got, ok := nanoseconds("1682258040.904", math.MaxInt64); !ok || got != 1682258040904*time.Millisecond {
		t.Errorf("a moment is %d, %t", got, ok)
	}
}

// TestLimitOf: what kind of limit an answer speaks of, by its headers and body.
func TestLimitOf(t *testing.T) {
	const (
		own    = `{"message":"You are being rate limited.","retry_after":1.5,"global":false}`
		ofBody = `{"message":"x","retry_after":1163.097,"code":`
	)
	for name, tt := range map[string]struct {
		status  int
		headers [][2]string // in addition to Via
		body    string
		want    Limit
	}{
		"route":                         {429, [][2]string{{"Scope", "user"}, {"Remaining", "0"}}, own, BucketLimit},
		"route, body alone":             {429, nil, own, BucketLimit},
		"within the bucket":             {429, [][2]string{{"Scope", "user"}, {"Remaining", "3"}}, own, SubLimit},
		"resource":                      {429, [][2]string{{"Scope", "shared"}, {"Remaining", "9"}}, own, SharedLimit},
		"resource, nothing left":        {429, [][2]string{{"Scope", "shared"}, {"Remaining", "0"}}, own, SharedLimit},
		"writes to a channel":           {429, [][2]string{{"Remaining", "4"}}, ofBody + `20028}`, SharedLimit},
		"writes to a server":            {429, [][2]string{{"Remaining", "4"}}, ofBody + `20029}`, SharedLimit},
		"service":                       {429, nil, ofBody + `40062}`, SharedLimit},
		"slow mode":                     {429, [][2]string{{"Remaining", "0"}}, ofBody + `20016}`, SubLimit},
		"edits of announcements":        {429, [][2]string{{"Remaining", "0"}}, ofBody + `20022}`, SubLimit},
		"edits of old messages":         {429, [][2]string{{"Remaining", "0"}}, ofBody + `30046}`, SubLimit},
		"global, by scope":              {429, [][2]string{{"Scope", "global"}}, own, GlobalLimit},
		"global, by header":             {429, [][2]string{{"Global", "true"}}, own, GlobalLimit},
		"global, by body":               {429, nil, `{"retry_after":1,"global":true}`, GlobalLimit},
		"opening of channels":           {403, nil, `{"message":"x","code":40003}`, SubLimit},
		"another 403":                   {403, nil, `{"message":"x","code":50013}`, NotLimited},
		"edge, text":                    {429, nil, "error code: 1015", AddressBan},
		"edge, blocked":                 {429, nil, `{"message":"You are being blocked","code":0}`, AddressBan},
		"edge, headers of nobody":       {429, [][2]string{{"Scope", "user"}}, "<html>", AddressBan},
		"no limit, whatever is left":    {200, [][2]string{{"Remaining", "0"}}, "", NotLimited},
		"no limit, though it says so":   {200, nil, own, NotLimited},
		"failure that looks like one":   {503, [][2]string{{"Scope", "global"}}, own, NotLimited},
		"remaining that is not a count": {429, [][2]string{{"Scope", "user"}, {"Remaining", "-1"}}, own, BucketLimit},
	} {
		r := Response{Status: tt.status, Header: http.Header{"Via": {"1.1 google"}}, Body: ParseBody([]byte(tt.body))}
		for _, h := range tt.headers {
			r.Header.Set("X-RateLimit-"+h[0], h[1])
		}
		if got := r.limitOf(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	for body, want := range map[string]Limit{
		own: BucketLimit,
		`{"message":"You are being rate limited.","retry_after":0.3,"global":true}`:                             GlobalLimit,
		`{"message":"Service resource is being rate limited.","code":40062,"retry_after":"0.3","global":false}`: SharedLimit,
		`{"message":"You are being blocked from accessing our API","code":0}`:                                   AddressBan,
		`{"title":"Error 1015","status":429,"error_code":1015,"cloudflare_error":true,"retry_after":30}`:        AddressBan,
		`{"retry_after":-1}`: AddressBan,
		`[0.3]`:              AddressBan,
		`error code: 1015`:   AddressBan,
	} {
		bare := Response{Status: 429, Header: http.Header{}, Body: ParseBody([]byte(body))}
		if got := bare.limitOf(); got != want {
			t.Errorf("%s without any header: %v, want %v", body, got, want)
		}
	}
}
