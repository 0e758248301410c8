//go:build unix

package listener_test

import (
	"context"
	"net/http"
	"syscall"
	"testing"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// BenchmarkEmptyCall is the floor of every call: both ends of a connection, the
// listener's checks and an empty procedure. It reports the processor time of a
// call, since the wall clock depends on what else the machine does.
func BenchmarkEmptyCall(b *testing.B) {
	for _, bench := range []struct {
		name    string
		client  func(testing.TB) *http.Client
		options []connect.ClientOption
	}{
		{"gRPC", newHTTP2Client, []connect.ClientOption{connect.WithGRPC()}},
		{"ConnectJSON", newHTTP1Client, []connect.ClientOption{connect.WithProtoJSON()}},
		{"gRPCWeb", newHTTP1Client, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newService()
			server := serve(b, listener.Config{Handler: s.handler(b, rpc.Config{})})
			client := connect.NewClient[emptypb.Empty, emptypb.Empty](bench.client(b), server.url(procedureEmpty), bench.options...)
			call := func() {
				if _, err := client.CallUnary(context.Background(), connect.NewRequest(&emptypb.Empty{})); err != nil {
					b.Error(err)
				}
			}
			call()
			b.ReportAllocs()
			before := processorMicroseconds(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					call()
				}
			})
			b.ReportMetric(float64(processorMicroseconds(b)-before)/float64(b.N), "cpu-µs/op")
		})
	}
}

func processorMicroseconds(b *testing.B) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return (usage.Utime.Nano() + usage.Stime.Nano()) / 1000
}
