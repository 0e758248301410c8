package rpc

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// jsonCodec is protobuf's JSON mapping as a person with curl expects it. Ids
// (64-bit integers) are strings and enum values names, which is the mapping's
// own rule; fields with a default value are written out, so that a reader sees
// every field there is, while unset messages and unset optional fields stay
// absent, because null would be a statement. Field names are lowerCamelCase in
// answers; requests may also use the names of the proto file. An unknown field is
// refused: it is a mistake in writing, or something that this version of the
// server would leave out without a word.
type jsonCodec struct{ name string }

// maxQuotedInput bounds what an error about bad JSON repeats of it, in bytes.
const maxQuotedInput = 500

// byteOrderMark is what some editors and shells of Windows begin a file with.
// RFC 8259 lets a reader ignore it.
var byteOrderMark = []byte("\ufeff")

var (
	jsonOut = protojson.MarshalOptions{EmitDefaultValues: true}
	jsonIn  = protojson.UnmarshalOptions{}
)

// Name implements connect.Codec.
func (c jsonCodec) Name() string { return c.name }

// Marshal implements connect.Codec.
func (c jsonCodec) Marshal(message any) ([]byte, error) {
	return c.MarshalAppend(nil, message)
}

// MarshalAppend lets connect marshal into its pooled buffers.
func (c jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
	return jsonOut.MarshalAppend(dst, m)
}

// Unmarshal implements connect.Codec.
func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", message)
	}
	data = bytes.TrimPrefix(data, byteOrderMark)
	if len(data) == 0 {
		return errors.New("empty body: send a JSON object, at least {}")
	}
	if err := jsonIn.Unmarshal(data, m); err != nil {
		// protojson quotes the value that it cannot use, however long it is.
		return errors.New(boundMessage(explainJSON(err, data, m.ProtoReflect().Descriptor()), maxQuotedInput))
	}
	return nil
}
