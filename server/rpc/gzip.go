package rpc

import (
	"compress/gzip"
	"errors"
	"io"

	"connectrpc.com/connect"
)

// withBoundedGzip replaces connect's gzip by one that stops behind limit bytes
// of a message. Connect refuses a larger message too, but first decompresses
// all of it to say how large it is, which takes seconds for a bomb of 4 MiB.
func withBoundedGzip(limit int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &boundedGzip{limit: int64(limit)} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) })
}

// errBomb is only seen in the text of connect's error.
var errBomb = errors.New("compressed data is too large")

type boundedGzip struct {
	gzip.Reader
	limit int64
	read  int64
}

// Reset implements connect.Decompressor.
func (d *boundedGzip) Reset(r io.Reader) error {
	d.read = 0
	return d.Reader.Reset(r)
}

// Read implements io.Reader. One read may exceed the limit, so that connect
// learns that the message does.
func (d *boundedGzip) Read(p []byte) (int, error) {
	if d.read > d.limit {
		return 0, errBomb
	}
	n, err := d.Reader.Read(p)
	d.read += int64(n)
	return n, err
}
