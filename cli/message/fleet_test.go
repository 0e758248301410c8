package message_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// fleetOfTwo answers GetFleet with two bots, one of them without a leader.
type fleetOfTwo struct {
	discordapiconnect.UnimplementedDashboardHandler
}

func (fleetOfTwo) GetFleet(context.Context, *pb.GetFleetRequest) (*pb.GetFleetResponse, error) {
	now := time.Now()
	ago := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }
	return &pb.GetFleetResponse{
		Time: timestamppb.New(now), Shared: true,
		Bots: []*pb.GetFleetResponse_Bot{
			{Name: "alerts", Leader: "a", Epoch: 7, Since: ago(90 * time.Second), Previous: "b:1", Reason: "handed over"},
			{Name: "hidden", Leader: "c", Epoch: 2},
			{Name: "shop", Epoch: 3, Previous: "a:1"},
		},
		Replicas: []*pb.GetFleetResponse_Replica{
			{
				Id: "a", Address: "a:1", Version: "v2", Since: ago(time.Hour), Seen: ago(1500 * time.Millisecond), Leads: []string{"alerts"}, Answered: true,
				Load: &pb.GetFleetResponse_Replica_Load{InProgress: 1, Waiting: 2, CallsPerSecond: 3.25},
			},
			{Id: "b", Address: "b\n:1", Version: "v1\x1b[2J", Since: ago(time.Minute), Seen: ago(-time.Second)},
		},
	}, nil
}

// TestFleet prints a fleet as tables and as data.
func TestFleet(t *testing.T) {
	_, handler := discordapiconnect.NewDashboardHandler(fleetOfTwo{})
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	p := &proxytest.Proxy{Address: srv.Listener.Addr().String()}
	const want = `BOT     LEADER                   EPOCH  FOR    REASON       PREVIOUS LEADER
alerts  a:1                      7      1m30s  handed over  b:1
hidden  one without --advertise  2      -      -            -
shop    none                     3      -      -            a:1

REPLICA  VERSION  RUNNING FOR  SEEN      IN PROGRESS  WAITING  CALLS A SECOND  ANSWERED  LEADS
a:1      v2       1h0m0s       1.5s ago  1            2        3.2             yes       alerts
b; :1    v1[2J    1m0s         0s ago    -            -        -               -         -
`
	if code, out, errs := run(t, p, "fleet"); code != 0 || out != want || errs != "" {
		t.Errorf("%d %s %q", code, out, errs)
	}
	if code, out, errs := run(t, p, "fleet", "--jq", ".bots[].name, .replicas[0].load.waiting"); code != 0 || out != "alerts\nhidden\nshop\n2\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, errs := run(t, p, "fleet", "-o", "json"); code != 0 || !strings.HasPrefix(out, `{"bots":[{"epoch":"7"`) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// TestFleetOfOne: a proxy that shares nothing shows itself, and only to those who may see
// the dashboard.
func TestFleetOfOne(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	want := regexp.MustCompile(`^BOT .*\ndefault +this one +0 +\S+s +- +-\n\nREPLICA .*\nthis one +\S+ +\S+s +- +1 +0 +0.0 +yes +default\n$`)
	if code, out, errs := run(t, p, "fleet"); code != 0 || !want.MatchString(out) || errs != "" {
		t.Errorf("%d %s %q", code, out, errs)
	}
	if code, out, errs := run(t, p, "fleet", "x"); code != 2 || out != "" || !strings.Contains(errs, "expected fleet") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	const rules = `clients: [{name: sender, methods: ["Send*"], hashes: ["%s"]}, {name: watcher, methods: [dashboard], hashes: ["%s"]}]`
	key, hash := server.NewKey()
	watching, watcher := server.NewKey()
	p = proxytest.Guarded(t, sandbox.New(sandbox.Config{}), fmt.Sprintf(rules, hash, watcher))
	if code, out, errs := run(t, p, "--key", key, "fleet"); code != 3 || out != "" || !strings.Contains(errs, "dashboard") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, errs := run(t, p, "--key", watching, "fleet"); code != 0 || !want.MatchString(out) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
