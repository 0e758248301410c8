package client

import (
	"context"
	"crypto/rand"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Enqueue leaves a call with the proxy, which makes it when Discord's limits allow it,
// and returns when the call is on disk there. WithRetries repeats it safely: a call
// without a delivery ID gets a random one for that.
func (c *Client) Enqueue(ctx context.Context, req *pb.EnqueueRequest) (*pb.EnqueueResponse, error) {
	if c.retries > 0 && req.GetDeliveryId() == "" {
		req = proto.CloneOf(req)
		req.DeliveryId = rand.Text()
	}
	return c.outbox.Enqueue(ctx, req)
}

// EnqueueMany leaves calls with the proxy as they are sent, each of which gets an
// answer in the same order.
func (c *Client) EnqueueMany(
	ctx context.Context,
) (*connect.BidiStreamForClientSimple[pb.EnqueueManyRequest, pb.EnqueueManyResponse], error) {
	return c.outbox.EnqueueMany(ctx)
}

// GetDelivery returns a call that was enqueued.
func (c *Client) GetDelivery(ctx context.Context, req *pb.GetDeliveryRequest) (*pb.GetDeliveryResponse, error) {
	return c.outbox.GetDelivery(ctx, req)
}

// ListDeliveries returns a page of the calls that were enqueued, the newest first.
func (c *Client) ListDeliveries(ctx context.Context, req *pb.ListDeliveriesRequest) (*pb.ListDeliveriesResponse, error) {
	return c.outbox.ListDeliveries(ctx, req)
}

// WatchDeliveries streams the results of calls that were enqueued. The first response
// has no delivery, only the position from which the stream starts.
func (c *Client) WatchDeliveries(
	ctx context.Context,
	req *pb.WatchDeliveriesRequest,
) (*connect.ServerStreamForClient[pb.WatchDeliveriesResponse], error) {
	return c.outbox.WatchDeliveries(ctx, req)
}

// CancelDelivery cancels a call that waits.
func (c *Client) CancelDelivery(ctx context.Context, req *pb.CancelDeliveryRequest) (*pb.CancelDeliveryResponse, error) {
	return c.outbox.CancelDelivery(ctx, req)
}

// RetryDelivery has a call wait again that ended without success.
func (c *Client) RetryDelivery(ctx context.Context, req *pb.RetryDeliveryRequest) (*pb.RetryDeliveryResponse, error) {
	return c.outbox.RetryDelivery(ctx, req)
}

// PurgeDeliveries deletes the records of calls that have ended.
func (c *Client) PurgeDeliveries(ctx context.Context, req *pb.PurgeDeliveriesRequest) (*pb.PurgeDeliveriesResponse, error) {
	return c.outbox.PurgeDeliveries(ctx, req)
}
