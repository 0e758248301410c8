package health

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// Name is the full name of gRPC's health service.
const Name = "grpc.health.v1.Health"

// Limits of watchers, and how often the checks run for each of them. The clients of Watch
// need no key, so one network must not be able to use up the limit.
const (
	maxWatchers           = 1000
	maxWatchersPerNetwork = 100
	watchInterval         = time.Second
)

// Service is gRPC's health service, with the methods Check, List and Watch.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
type Service struct {
	checks   Checks
	services []string
	ending   <-chan struct{}

	mu         sync.Mutex
	watchers   int
	perNetwork map[string]int
}

// GRPC returns a health service that reports the checks for the server as a
// whole, "", and for the named services. When ending is closed, watchers receive
// NOT_SERVING and their streams end with UNAVAILABLE; a nil channel never
// closes.
func GRPC(checks Checks, ending <-chan struct{}, services ...string) *Service {
	return &Service{checks: checks, services: services, ending: ending, perNetwork: make(map[string]int)}
}

// Handler returns the path of the service and its handler.
func (s *Service) Handler(options ...connect.HandlerOption) (path string, handler http.Handler) {
	path = "/" + Name + "/"
	mux := http.NewServeMux()
	mux.Handle(path+"Check", connect.NewUnaryHandlerSimple(path+"Check", s.check, options...))
	mux.Handle(path+"List", connect.NewUnaryHandlerSimple(path+"List", s.list, options...))
	mux.Handle(path+"Watch", connect.NewServerStreamHandlerSimple(path+"Watch", s.watch, options...))
	return path, mux
}

func (s *Service) check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	status := s.status(req.GetService())
	if status == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("unknown service"))
	}
	return &healthpb.HealthCheckResponse{Status: status}, nil
}

func (s *Service) list(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	statuses := make(map[string]*healthpb.HealthCheckResponse)
	for _, service := range append([]string{""}, s.services...) {
		statuses[service] = &healthpb.HealthCheckResponse{Status: s.status(service)}
	}
	return &healthpb.HealthListResponse{Statuses: statuses}, nil
}

// watch sends the status of a service when the stream begins and whenever it
// changes. A service that does not exist has the status SERVICE_UNKNOWN.
func (s *Service) watch(
	ctx context.Context,
	req *healthpb.HealthCheckRequest,
	stream *connect.ServerStream[healthpb.HealthCheckResponse],
) error {
	network := refusals.Network(rpc.Peer(ctx))
	if err := s.enter(network); err != nil {
		return err
	}
	defer s.leave(network)
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	last := healthpb.HealthCheckResponse_ServingStatus(-1)
	for {
		ending := s.isEnding() // what is sent below says so, too
		status := s.status(req.GetService())
		if status != last {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: status}); err != nil {
				return err
			}
			last = status
		}
		if ending {
			return rpc.ShuttingDown()
		}
		select {
		case <-ticker.C:
		case <-s.ending:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Service) status(service string) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case service != "" && !slices.Contains(s.services, service):
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case s.isEnding() || s.checks.Ready() != nil:
		return healthpb.HealthCheckResponse_NOT_SERVING
	}
	return healthpb.HealthCheckResponse_SERVING
}

func (s *Service) isEnding() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

// enter counts a watcher until leave, or refuses it.
func (s *Service) enter(network string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers >= maxWatchers || s.perNetwork[network] >= maxWatchersPerNetwork {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many watchers of the health service"))
	}
	s.watchers++
	s.perNetwork[network]++
	return nil
}

func (s *Service) leave(network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers--
	if s.perNetwork[network]--; s.perNetwork[network] == 0 {
		delete(s.perNetwork, network)
	}
}
