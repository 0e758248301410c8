package test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// row is what each kind of caller gets of something that is no method of the
// API, as statuses of HTTP: who is not known, who may call other methods,
// who may name other places, and who may do all.
type row struct {
	unknown, method, place, all int
}

var (
	forAll   = row{200, 200, 200, 200}
	forKnown = row{401, 403, 403, 200}
)

// pageRows are all paths of the port in addition to the methods of the API.
var pageRows = map[string]row{
	"/":                  forAll,
	"/dashboard/app.js":  forAll,
	"/docs/":             forAll,
	"/openapi.yaml":      forAll,
	"/openapi.json":      forAll,
	"/healthz":           forAll,
	"/readyz":            forAll,
	"/metrics":           forKnown,
	"/api/v10/users/@me": forKnown,
}

// streamRows are the services in addition to the API.
var streamRows = map[string]struct {
	row
	call func(ctx context.Context, client *http.Client, url string, protocol connect.ClientOption) error
}{
	"dashboard": {forKnown, func(ctx context.Context, client *http.Client, url string, protocol connect.ClientOption) error {
		stream, err := discordapiconnect.NewDashboardClient(client, url, protocol).WatchStatus(ctx, new(pb.WatchStatusRequest))
		if err != nil {
			return err
		}
		defer stream.Close()
		if !stream.Receive() {
			return stream.Err()
		}
		return nil
	}},
	// Of places it knows nothing.
	"reflection": {row{401, 403, 200, 200}, func(ctx context.Context, client *http.Client, url string, protocol connect.ClientOption) error {
		stream := grpcreflect.NewClient(client, url, protocol).NewStream(ctx)
		defer func() { _, _ = stream.Close() }() // the server would wait for it at its end
		_, err := stream.ListServices()
		return err
	}},
	"health": {forAll, func(ctx context.Context, client *http.Client, url string, protocol connect.ClientOption) error {
		health := connect.NewClient[grpc_health_v1.HealthCheckRequest, grpc_health_v1.HealthCheckResponse](client, url+"/grpc.health.v1.Health/Check", protocol)
		_, err := health.CallUnary(ctx, connect.NewRequest(new(grpc_health_v1.HealthCheckRequest)))
		return err
	}},
}

// checkPages asks for each row as each kind of caller.
func checkPages(t *testing.T, p *proxytest.Proxy, who *callers) {
	stranger, robot := who.certificates["stranger"], who.certificates["robot"]
	wrong, _ := server.NewKey()
	for name, kind := range map[string]struct {
		id   proxytest.Identity
		gets func(row) int
	}{
		"none":                {proxytest.Identity{}, func(r row) int { return r.unknown }},
		"wrong key":           {proxytest.Identity{Key: wrong}, func(r row) int { return r.unknown }},
		"unknown certificate": {proxytest.Identity{Certificate: &stranger}, func(r row) int { return r.unknown }},
		"key without method":  {proxytest.Identity{Key: who.keys["odd"]}, func(r row) int { return r.method }},
		"key elsewhere":       {proxytest.Identity{Key: who.keys["elsewhere"]}, func(r row) int { return r.place }},
		"right key":           {proxytest.Identity{Key: who.keys["right"]}, func(r row) int { return r.all }},
		"right certificate":   {proxytest.Identity{Certificate: &robot}, func(r row) int { return r.all }},
	} {
		kind.id.From = net.IPv4(127, 2, 0, 1)
		over1, over2 := p.HTTPClient(t, kind.id, false), p.HTTPClient(t, kind.id, true)
		for path, row := range pageRows {
			t.Run(path+"/"+name, func(t *testing.T) {
				status, body := get(t, over1, p.URL()+path)
				if status != kind.gets(row) {
					t.Errorf("answered with %d %s, want %d", status, body, kind.gets(row))
				}
			})
		}
		for service, row := range streamRows {
			for protocol, option := range map[string]connect.ClientOption{"gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb(), "Connect": connect.WithClientOptions()} {
				t.Run(service+"/"+protocol+"/"+name, func(t *testing.T) {
					t.Parallel()
					want := map[int]connect.Code{401: connect.CodeUnauthenticated, 403: connect.CodePermissionDenied}[kind.gets(row.row)]
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					switch err := row.call(ctx, over2, p.URL(), option); {
					case want == 0 && err != nil, want != 0 && connect.CodeOf(err) != want:
						t.Errorf("ends with %v, want %v", err, want)
					}
				})
			}
		}
	}
}

func get(t *testing.T, client *http.Client, url string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, bytes.TrimSpace(body)
}
