package status

import (
	"context"
	"errors"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// GetFleet implements discordapiconnect.DashboardHandler.
func (b *Service) GetFleet(ctx context.Context, _ *pb.GetFleetRequest) (*pb.GetFleetResponse, error) {
	if b.config.Fleet == nil {
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this server does not list replicas"))
	}
	return b.config.Fleet(ctx), nil
}
