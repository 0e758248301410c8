package client

import (
	"context"
	"crypto/rand"

	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Enqueue stores a call in the proxy's outbox and returns when it is on disk. The
// proxy makes the call when Discord's rate limits allow it. WithRetries is safe for
// Enqueue: a call without a delivery ID gets a random one.
func (c *Client) Enqueue(ctx context.Context, req *pb.EnqueueRequest) (*pb.EnqueueResponse, error) {
	if c.retries > 0 && req.GetDeliveryId() == "" {
		req = proto.CloneOf(req)
		req.DeliveryId = rand.Text()
	}
	return unary[*pb.EnqueueResponse](ctx, c, discordapiconnect.OutboxEnqueueProcedure, req)
}

// EnqueueMany stores the calls of a stream in the proxy's outbox. Each call gets a
// response, in the same order.
func (c *Client) EnqueueMany(
	ctx context.Context,
) (*connect.BidiStreamForClientSimple[pb.EnqueueManyRequest, pb.EnqueueManyResponse], error) {
	caller := connect.NewClient[pb.EnqueueManyRequest, pb.EnqueueManyResponse](
		c.over, c.url+discordapiconnect.OutboxEnqueueManyProcedure, c.options,
	)
	return caller.CallBidiStreamSimple(ctx)
}

// GetDelivery returns the state of an enqueued call.
func (c *Client) GetDelivery(ctx context.Context, req *pb.GetDeliveryRequest) (*pb.GetDeliveryResponse, error) {
	return unary[*pb.GetDeliveryResponse](ctx, c, discordapiconnect.OutboxGetDeliveryProcedure, req)
}

// ListDeliveries returns a page of the enqueued calls, newest first.
func (c *Client) ListDeliveries(ctx context.Context, req *pb.ListDeliveriesRequest) (*pb.ListDeliveriesResponse, error) {
	return unary[*pb.ListDeliveriesResponse](ctx, c, discordapiconnect.OutboxListDeliveriesProcedure, req)
}

// WatchDeliveries streams the results of enqueued calls. The first response contains
// no delivery, only the position at which the stream starts.
func (c *Client) WatchDeliveries(
	ctx context.Context,
	req *pb.WatchDeliveriesRequest,
) (*connect.ServerStreamForClient[pb.WatchDeliveriesResponse], error) {
	return serverStream[pb.WatchDeliveriesResponse](ctx, c, discordapiconnect.OutboxWatchDeliveriesProcedure, req)
}

// CancelDelivery cancels a scheduled or waiting call.
func (c *Client) CancelDelivery(ctx context.Context, req *pb.CancelDeliveryRequest) (*pb.CancelDeliveryResponse, error) {
	return unary[*pb.CancelDeliveryResponse](ctx, c, discordapiconnect.OutboxCancelDeliveryProcedure, req)
}

// RetryDelivery queues a call again if it ended without success.
func (c *Client) RetryDelivery(ctx context.Context, req *pb.RetryDeliveryRequest) (*pb.RetryDeliveryResponse, error) {
	return unary[*pb.RetryDeliveryResponse](ctx, c, discordapiconnect.OutboxRetryDeliveryProcedure, req)
}

// PurgeDeliveries deletes the records of calls that have ended.
func (c *Client) PurgeDeliveries(ctx context.Context, req *pb.PurgeDeliveriesRequest) (*pb.PurgeDeliveriesResponse, error) {
	return unary[*pb.PurgeDeliveriesResponse](ctx, c, discordapiconnect.OutboxPurgeDeliveriesProcedure, req)
}
