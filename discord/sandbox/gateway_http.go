package sandbox

import (
	"encoding/json"
	"net/http"
)

type (
	gatewayLimitFields GatewayLimits
	gatewayFaultFields GatewayFaults
)

type gatewayLimitsWire struct {
	*gatewayLimitFields
	HeartbeatInterval *seconds `json:"heartbeat_interval"`
	IdentifyWindow    *seconds `json:"identify_window"`
	SendWindow        *seconds `json:"send_window"`
	ResumeWindow      *seconds `json:"resume_window"`
}

func (l *GatewayLimits) wire() gatewayLimitsWire {
	return gatewayLimitsWire{
		(*gatewayLimitFields)(l), (*seconds)(&l.HeartbeatInterval), (*seconds)(&l.IdentifyWindow),
		(*seconds)(&l.SendWindow), (*seconds)(&l.ResumeWindow),
	}
}

// MarshalJSON writes durations in seconds.
func (l GatewayLimits) MarshalJSON() ([]byte, error) { return json.Marshal(l.wire()) }

// UnmarshalJSON reads durations in seconds, or as text such as "5s".
func (l *GatewayLimits) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, ptr(l.wire())) }

type gatewayFaultsWire struct {
	*gatewayFaultFields
	HelloDelay *seconds `json:"hello_delay"`
	ReadyDelay *seconds `json:"ready_delay"`
	Life       *seconds `json:"life"`
}

func (f *GatewayFaults) wire() gatewayFaultsWire {
	return gatewayFaultsWire{(*gatewayFaultFields)(f), (*seconds)(&f.HelloDelay), (*seconds)(&f.ReadyDelay), (*seconds)(&f.Life)}
}

// MarshalJSON writes durations in seconds.
func (f GatewayFaults) MarshalJSON() ([]byte, error) { return json.Marshal(f.wire()) }

// UnmarshalJSON reads durations in seconds, or as text such as "5s".
func (f *GatewayFaults) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, ptr(f.wire())) }

// controlGateway adds the control methods of the gateway.
func (s *Sandbox) controlGateway(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandbox/gateway", get(func() any {
		return struct {
			Connections []GatewayConnection `json:"connections"`
			Sessions    []GatewaySession    `json:"sessions"`
			Limits      GatewayLimits       `json:"limits"`
			Faults      GatewayFaults       `json:"faults"`
			Counts      GatewayCounts       `json:"counts"`
		}{s.GatewayConnections(), s.GatewaySessions(), s.GatewayLimits(), s.GatewayFaults(), s.GatewayCounts()}
	}))
	mux.HandleFunc("PATCH /sandbox/gateway/limits", control(func(_ *http.Request, in json.RawMessage) (any, error) {
		l := s.GatewayLimits()
		if err := json.Unmarshal(in, &l); err != nil {
			return nil, errControl{err}
		}
		s.SetGatewayLimits(l)
		return s.GatewayLimits(), nil
	}))
	mux.HandleFunc("PUT /sandbox/gateway/faults", control(func(_ *http.Request, in GatewayFaults) (any, error) {
		return nil, asMistake(s.SetGatewayFaults(in))
	}))

	type order struct {
		Connection int    `json:"connection"`
		Code       int    `json:"code"`
		Reason     string `json:"reason"`
		Op         int    `json:"op"`
		Resumable  bool   `json:"resumable"`
	}
	for path, give := range map[string]func(order) error{
		"close":      func(in order) error { return s.CloseGateway(in.Connection, in.Code, in.Reason) },
		"drop":       func(in order) error { return s.DropGateway(in.Connection) },
		"send":       func(in order) error { return s.SendGateway(in.Connection, in.Op) },
		"invalidate": func(in order) error { return s.InvalidateSessions(in.Connection, in.Resumable) },
	} {
		mux.HandleFunc("POST /sandbox/gateway/"+path, control(func(_ *http.Request, in order) (any, error) {
			return nil, asMistake(give(in))
		}))
	}
	mux.HandleFunc("POST /sandbox/gateway/burst", control(func(_ *http.Request, in struct {
		Message Message `json:"message"`
		Count   int     `json:"count"`
	},
	) (any, error) {
		return nil, asMistake(s.Burst(in.Message, in.Count))
	}))
	mux.HandleFunc("POST /sandbox/gateway/dispatch", control(func(_ *http.Request, in struct {
		Type    string          `json:"type"`
		Data    json.RawMessage `json:"data"`
		Padding int             `json:"padding"`
	},
	) (any, error) {
		return nil, asMistake(s.DispatchGateway(in.Type, in.Data, in.Padding))
	}))
	mux.HandleFunc("PUT /sandbox/guilds/{guild}/availability", control(func(r *http.Request, in struct{ Available bool }) (any, error) {
		guild, err := pathID(r, "guild")
		if err != nil {
			return nil, err
		}
		return nil, s.SetGuildAvailable(guild, in.Available)
	}))
	mux.HandleFunc("DELETE /sandbox/guilds/{guild}/members/{user}", control(func(r *http.Request, _ none) (any, error) {
		guild, err := pathID(r, "guild")
		if err != nil {
			return nil, err
		}
		user, err := pathID(r, "user")
		if err != nil {
			return nil, err
		}
		return nil, s.RemoveMember(guild, user)
	}))
	mux.HandleFunc("PUT /sandbox/users/{user}/presence", control(func(r *http.Request, in Presence) (any, error) {
		user, err := pathID(r, "user")
		if err != nil {
			return nil, err
		}
		return nil, s.SetPresence(user, in)
	}))
}

// asMistake marks an error as one of the request.
func asMistake(err error) error {
	if err == nil {
		return nil
	}
	return errControl{err}
}
