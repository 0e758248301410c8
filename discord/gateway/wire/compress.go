package wire

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// minCompressed is the size in bytes from which payloads are compressed one by
// one.
const minCompressed = 256

// Compressor compresses the payloads of one connection. It is for one goroutine.
type Compressor struct {
	stream bool
	buffer bytes.Buffer
	w      interface {
		io.WriteCloser
		Flush() error
		Reset(w io.Writer)
	}
}

// NewStreamCompressor returns the Compressor for a value of compress in the
// gateway's URL, zlib-stream or zstd-stream. All payloads are one stream, which is
// flushed after each. It returns nil for an unknown value.
func NewStreamCompressor(method string) *Compressor {
	c := &Compressor{stream: true}
	switch method {
	case "zlib-stream":
		c.w = zlib.NewWriter(&c.buffer)
	case "zstd-stream":
		// A small window, because every connection has one.
		w, err := zstd.NewWriter(&c.buffer, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil
		}
		c.w = w
	default:
		return nil
	}
	return c
}

// NewPayloadCompressor returns the Compressor that compress: true in IDENTIFY asks
// for: each payload is compressed by itself with zlib, and small ones stay as they
// are.
func NewPayloadCompressor() *Compressor { return &Compressor{w: zlib.NewWriter(io.Discard)} }

// Compress returns the bytes to send for a payload, and whether they are
// compressed and so need a binary message. They are valid until the next call.
func (c *Compressor) Compress(payload []byte) (data []byte, binary bool, err error) {
	if c == nil || !c.stream && len(payload) < minCompressed {
		return payload, false, nil
	}
	c.buffer.Reset()
	end := c.w.Flush
	if !c.stream {
		c.w.Reset(&c.buffer)
		end = c.w.Close
	}
	if _, err := c.w.Write(payload); err != nil {
		return nil, false, fmt.Errorf("compress payload: %w", err)
	}
	if err := end(); err != nil {
		return nil, false, fmt.Errorf("compress payload: %w", err)
	}
	return c.buffer.Bytes(), true, nil
}
