package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// seconds is a duration in JSON: a number of seconds, or text such as "250ms".
type seconds time.Duration

func (d seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(d).Seconds(), 'f', -1, 64), nil
}

func (d *seconds) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		parsed, err := time.ParseDuration(strings.Trim(string(b), `"`))
		*d = seconds(parsed)
		if err != nil {
			return fmt.Errorf("decode duration: %w", err)
		}
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("decode duration: %w", err)
	}
	*d = seconds(f * float64(time.Second))
	return nil
}

// The aliases have the fields of a type, but not its JSON methods.
type (
	limitFields   Limit
	banFields     Ban
	faultFields   Fault
	invalidFields InvalidLimit
)

type limitWire struct {
	*limitFields
	Window *seconds `json:"window"`
}

func (l *Limit) wire() limitWire { return limitWire{(*limitFields)(l), (*seconds)(&l.Window)} }

// MarshalJSON writes Window in seconds.
func (l Limit) MarshalJSON() ([]byte, error) { return json.Marshal(l.wire()) }

// UnmarshalJSON reads Window in seconds, or as text such as "5s".
func (l *Limit) UnmarshalJSON(b []byte) error { return strict(b, ptr(l.wire())) }

type banWire struct {
	*banFields
	For *seconds `json:"for"`
}

func (b *Ban) wire() banWire { return banWire{(*banFields)(b), (*seconds)(&b.For)} }

// MarshalJSON writes For in seconds.
func (b Ban) MarshalJSON() ([]byte, error) { return json.Marshal(b.wire()) }

// UnmarshalJSON reads For in seconds, or as text such as "5s".
func (b *Ban) UnmarshalJSON(p []byte) error { return strict(p, ptr(b.wire())) }

type faultWire struct {
	*faultFields
	Delay *seconds `json:"delay"`
}

func (f *Fault) wire() faultWire { return faultWire{(*faultFields)(f), (*seconds)(&f.Delay)} }

// MarshalJSON writes Delay in seconds.
func (f Fault) MarshalJSON() ([]byte, error) { return json.Marshal(f.wire()) }

// UnmarshalJSON reads Delay in seconds, or as text such as "5s".
func (f *Fault) UnmarshalJSON(b []byte) error { return strict(b, ptr(f.wire())) }

type invalidWire struct {
	*invalidFields
	Window *seconds `json:"window"`
}

func (l *InvalidLimit) wire() invalidWire {
	return invalidWire{(*invalidFields)(l), (*seconds)(&l.Window)}
}

// MarshalJSON writes Window in seconds.
func (l InvalidLimit) MarshalJSON() ([]byte, error) { return json.Marshal(l.wire()) }

// UnmarshalJSON reads Window in seconds, or as text such as "10m".
func (l *InvalidLimit) UnmarshalJSON(b []byte) error { return strict(b, ptr(l.wire())) }

// strict reads JSON and refuses fields that it does not know: a fault or limit
// with a misspelt one would do something else than what was asked for.
func strict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

type delayWire struct {
	Min seconds `json:"min"`
	Max seconds `json:"max"`
}

func (d delayWire) delay() Delay { return Delay{Min: time.Duration(d.Min), Max: time.Duration(d.Max)} }

// maxControl is the size of a request that controls the sandbox: the state of a
// guild with thousands of members, and more.
const maxControl = 64 << 20

// errControl is a mistake in a request that controls the sandbox.
type errControl struct{ error }

// control makes a handler of a function from a request's JSON to an answer's.
func control[In any](f func(r *http.Request, in In) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
		if err == nil && len(b) > 0 {
			err = strict(b, &in)
		}
		var out any
		if err != nil {
			err = errControl{fmt.Errorf("read request: %w", err)}
		} else {
			out, err = f(r, in)
		}
		status := http.StatusOK
		if err != nil {
			status, out = http.StatusNotFound, map[string]string{"error": err.Error()}
			if _, bad := errors.AsType[errControl](err); bad {
				status = http.StatusBadRequest
			}
		} else if out == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(out)
	}
}

type none struct{}

// do makes a handler of a function that needs nothing and answers nothing.
func do(f func()) http.HandlerFunc {
	return control(func(*http.Request, none) (any, error) { f(); return nil, nil })
}

// get makes a handler of a function that needs nothing.
func get[Out any](f func() Out) http.HandlerFunc {
	return control(func(*http.Request, none) (any, error) { return f(), nil })
}

// put makes a handler of a function that answers nothing.
func put[In any](f func(In)) http.HandlerFunc {
	return control(func(_ *http.Request, in In) (any, error) { f(in); return nil, nil })
}

func pathID(r *http.Request, name string) (ID, error) {
	id, err := ParseID(r.PathValue(name))
	if err != nil {
		return 0, errControl{err}
	}
	return id, nil
}

type made struct {
	ID ID `json:"id"`
}

// controlHandler serves the control methods to programs on this machine. A web
// page must not get at them: the request's Host has to be a loopback address,
// and its origin the same.
func (s *Sandbox) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sandbox/world", get(s.World))
	mux.HandleFunc("POST /sandbox/reset", do(s.Reset))
	mux.HandleFunc("GET /sandbox/state", get(s.State))
	mux.HandleFunc("PUT /sandbox/state", control(func(_ *http.Request, in State) (any, error) { return nil, s.SetState(in) }))
	mux.HandleFunc("POST /sandbox/clock", control(func(_ *http.Request, in struct{ Advance seconds }) (any, error) {
		s.Advance(time.Duration(in.Advance))
		return map[string]time.Time{"now": s.Now()}, nil
	}))

	mux.HandleFunc("POST /sandbox/users", control(func(_ *http.Request, in struct {
		User
		RefusesDMs bool   `json:"refuses_dms"`
		Token      string `json:"token"`
	},
	) (any, error) {
		id := s.AddUser(in.User)
		if in.Token != "" {
			if err := s.AddToken("Bot "+in.Token, id); err != nil {
				return nil, err
			}
		}
		return made{id}, s.RefuseDMs(id, in.RefusesDMs)
	}))
	mux.HandleFunc("POST /sandbox/oauth2/codes", control(func(_ *http.Request, in struct {
		User   ID
		Scopes []string
	},
	) (any, error) {
		code, err := s.Authorize(in.User, in.Scopes...)
		return struct {
			Code string `json:"code"`
		}{code}, err
	}))
	mux.HandleFunc("POST /sandbox/guilds", control(func(_ *http.Request, in Guild) (any, error) {
		return made{s.AddGuild(in)}, nil
	}))
	mux.HandleFunc("POST /sandbox/guilds/{guild}/members", control(func(r *http.Request, in struct {
		User  ID
		Roles []ID
		Count int
	},
	) (any, error) {
		guild, err := pathID(r, "guild")
		if err != nil {
			return nil, err
		}
		if in.Count != 0 {
			ids, err := s.AddMembers(guild, in.Count)
			return map[string][]ID{"ids": ids}, err
		}
		return nil, s.AddMember(guild, in.User, in.Roles...)
	}))
	mux.HandleFunc("POST /sandbox/guilds/{guild}/roles", control(func(r *http.Request, in Role) (any, error) {
		guild, err := pathID(r, "guild")
		if err != nil {
			return nil, err
		}
		id, err := s.AddRole(guild, in)
		return made{id}, err
	}))
	mux.HandleFunc("POST /sandbox/channels", control(func(_ *http.Request, in Channel) (any, error) {
		id, err := s.AddChannel(in)
		return made{id}, err
	}))
	mux.HandleFunc("GET /sandbox/channels", get(s.Channels))
	mux.HandleFunc("DELETE /sandbox/channels/{channel}", control(func(r *http.Request, _ none) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		return nil, s.RemoveChannel(id)
	}))
	mux.HandleFunc("PUT /sandbox/channels/{channel}/overwrites", control(func(r *http.Request, in Overwrite) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		return nil, s.SetOverwrite(id, in)
	}))
	mux.HandleFunc("GET /sandbox/channels/{channel}/messages", control(func(r *http.Request, _ none) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		return orEmpty(s.Messages(id)), nil
	}))
	mux.HandleFunc("POST /sandbox/channels/{channel}/messages", control(func(r *http.Request, in Message) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		in.ChannelID = id
		stored, err := s.AddMessage(in)
		return made{stored}, err
	}))
	mux.HandleFunc("POST /sandbox/channels/{channel}/votes", control(func(r *http.Request, in struct {
		Message ID    `json:"message"`
		User    ID    `json:"user"`
		Answers []int `json:"answers"`
	},
	) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		return nil, s.Vote(id, in.Message, in.User, in.Answers...)
	}))
	mux.HandleFunc("PUT /sandbox/guilds/{guild}/voice-states/{user}", control(func(r *http.Request, in VoiceState) (any, error) {
		var err error
		if in.GuildID, err = pathID(r, "guild"); err != nil {
			return nil, err
		}
		if in.UserID, err = pathID(r, "user"); err != nil {
			return nil, err
		}
		return nil, s.SetVoiceState(in)
	}))
	mux.HandleFunc("POST /sandbox/channels/{channel}/interactions", control(func(r *http.Request, in Use) (any, error) {
		id, err := pathID(r, "channel")
		if err != nil {
			return nil, err
		}
		in.Channel = id
		return s.Interact(in)
	}))
	mux.HandleFunc("GET /sandbox/interactions/{interaction}", control(func(r *http.Request, _ none) (any, error) {
		id, err := pathID(r, "interaction")
		if err != nil {
			return nil, err
		}
		return s.Answer(id)
	}))

	mux.HandleFunc("GET /sandbox/calls", get(s.Calls))
	mux.HandleFunc("GET /sandbox/stats", get(s.Stats))
	mux.HandleFunc("DELETE /sandbox/stats", do(s.ResetStats))

	mux.HandleFunc("GET /sandbox/limits", get(s.Limits))
	mux.HandleFunc("PUT /sandbox/limits", put(s.SetLimit))
	mux.HandleFunc("DELETE /sandbox/limits", do(s.ClearLimits))
	mux.HandleFunc("DELETE /sandbox/limits/{name}", control(func(r *http.Request, _ none) (any, error) {
		s.RemoveLimit(r.PathValue("name"))
		return nil, nil
	}))
	mux.HandleFunc("PUT /sandbox/limits/global", put(s.SetGlobalLimit))
	mux.HandleFunc("PUT /sandbox/limits/invalid", put(s.SetInvalidLimit))
	mux.HandleFunc("POST /sandbox/bans", put(s.Ban))
	mux.HandleFunc("POST /sandbox/bans/global", put(func(in struct{ For seconds }) { s.BanGlobally(time.Duration(in.For)) }))
	mux.HandleFunc("DELETE /sandbox/bans", do(s.Unban))

	mux.HandleFunc("PUT /sandbox/latency", put(func(in struct{ Request, Response delayWire }) {
		s.SetLatency(Latency{Request: in.Request.delay(), Response: in.Response.delay()})
	}))
	mux.HandleFunc("POST /sandbox/faults", control(func(_ *http.Request, in Fault) (any, error) {
		return map[string]int{"id": s.InjectFault(in)}, nil
	}))
	mux.HandleFunc("GET /sandbox/faults", get(s.Faults))
	mux.HandleFunc("DELETE /sandbox/faults", do(func() { s.RemoveFault(0) }))
	mux.HandleFunc("DELETE /sandbox/faults/{id}", control(func(r *http.Request, _ none) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || id <= 0 {
			return nil, errControl{errors.New("a fault's id is a positive number")}
		}
		s.RemoveFault(id)
		return nil, nil
	}))
	s.controlGateway(mux)
	mux.HandleFunc("/sandbox/", control(func(r *http.Request, _ json.RawMessage) (any, error) {
		return nil, fmt.Errorf("there is no control %s %s", r.Method, r.URL.Path)
	}))
	return http.NewCrossOriginProtection().Handler(loopbackOnly(mux))
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) {
			http.Error(w, "the sandbox is controlled from its own machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback judges an address with or without a port.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
