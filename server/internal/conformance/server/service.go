//go:build conformance

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	conformance "discordproxy/server/internal/conformance/gen/conformance"
	"discordproxy/server/internal/conformance/gen/conformance/conformanceconnect"
)

// service answers every call as the call itself says, and echoes what it saw of
// it.
type service struct {
	conformanceconnect.UnimplementedConformanceServiceHandler
}

// call is what is known of a call in addition to its messages.
type call struct {
	ctx    context.Context
	header http.Header
	query  url.Values
}

func callOf(ctx context.Context, request connect.AnyRequest) call {
	return call{ctx, request.Header(), request.Peer().Query}
}

// seen describes the call and its requests.
func (c call) seen(requests []*anypb.Any) *conformance.ConformancePayload_RequestInfo {
	info := &conformance.ConformancePayload_RequestInfo{RequestHeaders: toHeaders(c.header), Requests: requests}
	if deadline, ok := c.ctx.Deadline(); ok {
		info.TimeoutMs = proto.Int64(time.Until(deadline).Milliseconds())
	}
	if len(c.query) > 0 {
		info.ConnectGetInfo = &conformance.ConformancePayload_ConnectGetInfo{QueryParams: toHeaders(c.query)}
	}
	return info
}

// payload answers a call with one response: with the wanted data or error.
func (c call) payload(wanted *conformance.UnaryResponseDefinition, requests []*anypb.Any) (*conformance.ConformancePayload, error) {
	info := c.seen(requests)
	if wanted == nil {
		return &conformance.ConformancePayload{RequestInfo: info}, nil
	}
	if err := wait(c.ctx, wanted.GetResponseDelayMs()); err != nil {
		return nil, err
	}
	if wanted.GetError() == nil {
		return &conformance.ConformancePayload{Data: wanted.GetResponseData(), RequestInfo: info}, nil
	}
	err := wantedError(wanted.GetError(), info)
	// Errors have one set of metadata, which becomes headers or trailers as
	// the protocol has it.
	addHeaders(err.Meta(), wanted.GetResponseHeaders())
	addHeaders(err.Meta(), wanted.GetResponseTrailers())
	return nil, err
}

// respond makes a response of a payload.
func respond[T any](payload *conformance.ConformancePayload, err error, wanted *conformance.UnaryResponseDefinition,
	response func(*conformance.ConformancePayload) *T,
) (*connect.Response[T], error) {
	if err != nil {
		return nil, err
	}
	r := connect.NewResponse(response(payload))
	addHeaders(r.Header(), wanted.GetResponseHeaders())
	addHeaders(r.Trailer(), wanted.GetResponseTrailers())
	return r, nil
}

// Unary implements the suite's service.
func (service) Unary(
	ctx context.Context,
	request *connect.Request[conformance.UnaryRequest],
) (*connect.Response[conformance.UnaryResponse], error) {
	requests, err := appendAny(nil, request.Msg)
	if err != nil {
		return nil, err
	}
	wanted := request.Msg.GetResponseDefinition()
	payload, err := callOf(ctx, request).payload(wanted, requests)
	return respond(payload, err, wanted, func(p *conformance.ConformancePayload) *conformance.UnaryResponse {
		return &conformance.UnaryResponse{Payload: p}
	})
}

// IdempotentUnary implements the suite's service.
func (service) IdempotentUnary(
	ctx context.Context,
	request *connect.Request[conformance.IdempotentUnaryRequest],
) (*connect.Response[conformance.IdempotentUnaryResponse], error) {
	requests, err := appendAny(nil, request.Msg)
	if err != nil {
		return nil, err
	}
	wanted := request.Msg.GetResponseDefinition()
	payload, err := callOf(ctx, request).payload(wanted, requests)
	return respond(payload, err, wanted, func(p *conformance.ConformancePayload) *conformance.IdempotentUnaryResponse {
		return &conformance.IdempotentUnaryResponse{Payload: p}
	})
}

// ClientStream implements the suite's service.
func (service) ClientStream(
	ctx context.Context,
	stream *connect.ClientStream[conformance.ClientStreamRequest],
) (*connect.Response[conformance.ClientStreamResponse], error) {
	var wanted *conformance.UnaryResponseDefinition
	var requests []*anypb.Any
	for stream.Receive() {
		if len(requests) == 0 {
			wanted = stream.Msg().GetResponseDefinition()
		}
		var err error
		if requests, err = appendAny(requests, stream.Msg()); err != nil {
			return nil, err
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	payload, err := call{ctx, stream.RequestHeader(), stream.Peer().Query}.payload(wanted, requests)
	return respond(payload, err, wanted, func(p *conformance.ConformancePayload) *conformance.ClientStreamResponse {
		return &conformance.ClientStreamResponse{Payload: p}
	})
}

// ServerStream implements the suite's service.
func (service) ServerStream(
	ctx context.Context,
	request *connect.Request[conformance.ServerStreamRequest],
	stream *connect.ServerStream[conformance.ServerStreamResponse],
) error {
	requests, err := appendAny(nil, request.Msg)
	if err != nil {
		return err
	}
	wanted := request.Msg.GetResponseDefinition()
	addHeaders(stream.ResponseHeader(), wanted.GetResponseHeaders())
	addHeaders(stream.ResponseTrailer(), wanted.GetResponseTrailers())
	if len(wanted.GetResponseData()) > 0 {
		// Sending nothing sends the header.
		if err := stream.Send(nil); err != nil {
			return err
		}
	}
	info := callOf(ctx, request).seen(requests)
	for i, data := range wanted.GetResponseData() {
		if err := wait(ctx, wanted.GetResponseDelayMs()); err != nil {
			return err
		}
		payload := &conformance.ConformancePayload{Data: data}
		if i == 0 {
			payload.RequestInfo = info
		}
		if err := stream.Send(&conformance.ServerStreamResponse{Payload: payload}); err != nil {
			return err
		}
	}
	return streamEnd(wanted, info)
}

// BidiStream implements the suite's service.
func (service) BidiStream(
	ctx context.Context,
	stream *connect.BidiStream[conformance.BidiStreamRequest, conformance.BidiStreamResponse],
) error {
	b := bidi{stream: stream, call: call{ctx, stream.RequestHeader(), stream.Peer().Query}}
	for first := true; ; first = false {
		request, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if b.requests, err = appendAny(b.requests, request); err != nil {
			return err
		}
		if first {
			b.wanted, b.fullDuplex = request.GetResponseDefinition(), request.GetFullDuplex()
			addHeaders(stream.ResponseHeader(), b.wanted.GetResponseHeaders())
			addHeaders(stream.ResponseTrailer(), b.wanted.GetResponseTrailers())
		}
		if first && b.fullDuplex && len(b.wanted.GetResponseData()) > 0 {
			if err := stream.Send(nil); err != nil {
				return err
			}
		}
		if !b.fullDuplex {
			continue
		}
		if b.sent >= len(b.wanted.GetResponseData()) {
			break
		}
		if err := b.send(); err != nil {
			return err
		}
	}
	for b.sent < len(b.wanted.GetResponseData()) {
		if err := b.send(); err != nil {
			return err
		}
	}
	if b.sent > 0 {
		return streamEnd(b.wanted, nil)
	}
	return streamEnd(b.wanted, b.call.seen(b.requests))
}

// bidi is a bidirectional stream in progress.
type bidi struct {
	stream     *connect.BidiStream[conformance.BidiStreamRequest, conformance.BidiStreamResponse]
	call       call
	wanted     *conformance.StreamResponseDefinition
	fullDuplex bool
	requests   []*anypb.Any // since the last response
	sent       int
}

// send sends the next response. The first describes the call, later ones only
// what came since.
func (b *bidi) send() error {
	if err := wait(b.call.ctx, b.wanted.GetResponseDelayMs()); err != nil {
		return err
	}
	payload := &conformance.ConformancePayload{Data: b.wanted.GetResponseData()[b.sent]}
	switch {
	case b.sent == 0:
		payload.RequestInfo = b.call.seen(b.requests)
	case len(b.requests) > 0:
		payload.RequestInfo = &conformance.ConformancePayload_RequestInfo{Requests: b.requests}
	}
	b.sent++
	b.requests = nil
	return b.stream.Send(&conformance.BidiStreamResponse{Payload: payload})
}

// streamEnd is the error that a stream shall end with. It describes the call
// when no response did.
func streamEnd(wanted *conformance.StreamResponseDefinition, info *conformance.ConformancePayload_RequestInfo) error {
	if wanted.GetError() == nil {
		return nil
	}
	if len(wanted.GetResponseData()) > 0 {
		info = nil
	}
	return wantedError(wanted.GetError(), info)
}

// wantedError makes the error that a call asks for. Info may be nil.
func wantedError(wanted *conformance.Error, info *conformance.ConformancePayload_RequestInfo) *connect.Error {
	err := connect.NewError(connect.Code(wanted.GetCode()), errors.New(wanted.GetMessage()))
	details := make([]proto.Message, 0, len(wanted.GetDetails())+1)
	for _, detail := range wanted.GetDetails() {
		details = append(details, detail)
	}
	if info != nil {
		details = append(details, info)
	}
	for _, message := range details {
		detail, failure := connect.NewErrorDetail(message)
		if failure != nil {
			return connect.NewError(connect.CodeInternal, failure)
		}
		err.AddDetail(detail)
	}
	return err
}

func appendAny(to []*anypb.Any, message proto.Message) ([]*anypb.Any, error) {
	packed, err := anypb.New(message)
	return append(to, packed), err
}

func toHeaders(values map[string][]string) []*conformance.Header {
	headers := make([]*conformance.Header, 0, len(values))
	for name, value := range values {
		headers = append(headers, &conformance.Header{Name: name, Value: value})
	}
	return headers
}

func addHeaders(to http.Header, headers []*conformance.Header) {
	for _, header := range headers {
		for _, value := range header.GetValue() {
			to.Add(header.GetName(), value)
		}
	}
}

// wait waits for so many milliseconds.
func wait(ctx context.Context, milliseconds uint32) error {
	if milliseconds == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(milliseconds) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
