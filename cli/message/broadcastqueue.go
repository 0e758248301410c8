package message

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// queuing is a broadcast by the outbox: a delivery for each user.
type queuing struct {
	*sending
	r        *request
	users    []uint64
	of       map[string]uint64 // users by the IDs of their deliveries
	queued   int
	follow   bool
	times    []time.Time // the beginning, or those of the newest results
	position uint64      // of the newest result
}

// queue leaves the message for each user with the proxy, and waits for the results if
// --follow asks for that. The same key makes the same deliveries, so that what was
// interrupted can be repeated.
func (b *sending) queue(r *request, req *pb.SendDirectMessagesRequest) error {
	q := &queuing{
		sending: b, r: r, users: req.GetUserIds(), of: make(map[string]uint64, len(req.GetUserIds())),
		follow: r.flags.Bool("follow"), times: []time.Time{time.Now()},
	}
	// A message for many has the numbers of one for a single user.
	data, err := proto.Marshal(req.GetMessage())
	if err != nil {
		return err
	}
	send := new(pb.SendDirectMessageRequest)
	if err := proto.Unmarshal(data, send); err != nil {
		return err
	}
	one := &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendDirectMessage{SendDirectMessage: send}}
	if err := r.schedule(one); err != nil {
		return err
	}
	if !r.output.structured() {
		if err := r.confirm(fmt.Sprintf("Queuing for %d users with the key %s", len(q.users), req.GetIdempotencyKey())); err != nil {
			return err
		}
	}
	if q.position, err = q.newest(); err != nil {
		return err
	}
	if err := q.enqueue(one, deliveryPrefix(req.GetIdempotencyKey())); err != nil {
		return fmt.Errorf("%w; %d of %d users are queued: repeat the command with --idempotency-key %s for the others",
			err, q.queued, len(q.users), req.GetIdempotencyKey())
	}
	if q.follow {
		ended := q.watch()
		b.show.end()
		return b.finish(r, q.users, ended)
	}
	if err := b.failures.keep(); err != nil {
		return err
	}
	if err := b.summary(r, fmt.Sprintf("Queued for %d of %d users", q.queued, len(q.users))); err != nil {
		return err
	}
	if b.failed > 0 {
		return fmt.Errorf("%d of %d users are not queued: they are in %s", b.failed, len(q.users), b.failures.path)
	}
	return nil
}

// deliveryPrefix is the beginning of the IDs of a broadcast's deliveries, which are
// limited to 64 characters.
func deliveryPrefix(key string) string {
	sum := sha256.Sum256([]byte(key))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26]) + "-"
}

// newest returns the position of the newest result.
func (q *queuing) newest() (uint64, error) {
	ctx, cancel := context.WithCancel(q.r.ctx)
	defer cancel()
	for res, err := range client.All(q.r.client.WatchDeliveries(ctx, new(pb.WatchDeliveriesRequest))) {
		if err != nil {
			return 0, q.r.failed(err)
		}
		return res.GetPosition(), nil
	}
	return 0, errors.New("the proxy returned no position")
}

// enqueue leaves a call for each user with the proxy.
func (q *queuing) enqueue(one *pb.EnqueueRequest, prefix string) error {
	ctx, cancel := context.WithCancel(q.r.ctx)
	var sender sync.WaitGroup
	defer sender.Wait()
	defer cancel()
	stream, err := q.r.client.EnqueueMany(ctx)
	if err != nil {
		return q.r.failed(err)
	}
	defer func() { _ = stream.CloseResponse() }()
	sender.Go(func() {
		defer func() { _ = stream.CloseRequest() }()
		for _, user := range q.users {
			req := proto.CloneOf(one)
			req.DeliveryId = fmt.Sprint(prefix, user)
			req.GetSendDirectMessage().UserId = user
			if stream.Send(&pb.EnqueueManyRequest{Enqueue: req}) != nil {
				return // Receive returns why
			}
		}
	})
	for _, user := range q.users {
		res, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return errors.New("the proxy ended the stream early")
		}
		if err != nil {
			return q.r.failed(err)
		}
		if err := q.accept(user, res); err != nil {
			return err
		}
	}
	return nil
}

// accept takes what became of a user's call.
func (q *queuing) accept(user uint64, res *pb.EnqueueManyResponse) error {
	if res.GetError() != nil {
		return q.result(&pb.SendDirectMessagesResponse{UserId: user, Error: res.GetError(), Status: res.GetStatus()})
	}
	q.queued++
	d := res.GetDelivery()
	q.of[d.GetId()] = user
	switch {
	case q.follow && d.GetPosition() > 0: // an earlier command has queued it
		return q.result(resultOf(user, d))
	case !q.follow && q.r.output.structured():
		return q.r.writeAnswer(res)
	}
	return nil
}

// watch takes results until each user has one, also over a restart of the proxy.
func (q *queuing) watch() error {
	for len(q.open) > 0 {
		req := &pb.WatchDeliveriesRequest{After: proto.Uint64(q.position)}
		for res, err := range client.All(q.r.client.WatchDeliveries(q.r.ctx, req)) {
			if errors.Is(err, client.ErrUnavailable) && q.r.ctx.Err() == nil {
				break // it restarts
			}
			if err != nil {
				return q.r.failed(err)
			}
			q.position = res.GetPosition()
			if user, ok := q.of[res.GetDelivery().GetId()]; ok && q.open[user] {
				if err := q.result(resultOf(user, res.GetDelivery())); err != nil {
					return err
				}
			}
			if len(q.open) == 0 {
				return nil
			}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-q.r.ctx.Done():
		}
	}
	return nil
}

// result takes a result and counts it.
func (q *queuing) result(result *pb.SendDirectMessagesResponse) error {
	left := len(q.open) - 1
	result.Total = int32(len(q.users))
	result.Done = result.GetTotal() - int32(left)
	result.Failed = int32(q.failed)
	if result.GetError() != nil {
		result.Failed++
	}
	each := q.pace(time.Now())
	result.EstimatedLeft = durationpb.New((each * time.Duration(left)).Round(time.Millisecond))
	return q.take(result)
}

// pace takes note of a result, and returns the time that each of the newest 20 took.
func (q *queuing) pace(now time.Time) time.Duration {
	const newest = 20
	if len(q.times) > newest {
		q.times = slices.Delete(q.times, 0, 1)
	}
	each := now.Sub(q.times[0]) / time.Duration(len(q.times))
	q.times = append(q.times, now)
	return each
}

// resultOf returns the result of a delivery as that of a direct call.
func resultOf(user uint64, d *pb.Delivery) *pb.SendDirectMessagesResponse {
	result := &pb.SendDirectMessagesResponse{UserId: user, Error: d.GetError(), Status: d.GetStatus()}
	switch d.GetState() {
	case pb.Delivery_DELIVERED:
		result.Message = &pb.Message{Id: d.GetMessageId(), ChannelId: d.GetChannelId()}
	case pb.Delivery_EXPIRED, pb.Delivery_CANCELLED, pb.Delivery_UNKNOWN:
		result.Status = d.GetState().String()
		result.Error = &pb.DiscordError{Text: d.GetReason(), OutcomeUnknown: d.GetState() == pb.Delivery_UNKNOWN}
		if d.GetState() == pb.Delivery_EXPIRED && d.GetReason() == "" {
			result.Error.Text = "it could not be sent in time"
		}
	}
	return result
}
