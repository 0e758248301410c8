package calls

import (
	"context"
	"log/slog"
	"net/http"

	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"
)

// LogUnread writes a line to the log for a request that ended before Begin: its
// message could not be read, was too large, or came in a form that no method takes. No
// observer is notified, since it is not a call yet. Its client has the reason.
// Requests come from Incoming.
func LogUnread(logger *slog.Logger, r *http.Request) {
	if in, ok := r.Context().Value(incomingKey{}).(*incoming); ok && !in.begun.Load() {
		logUnread(r.Context(), logger, r)
	}
}

func logUnread(ctx context.Context, logger *slog.Logger, r *http.Request) {
	logger.LogAttrs(ctx, slog.LevelWarn, "refused a request that cannot be read",
		slog.String("http_method", refusals.Shorten(r.Method)),
		slog.String("path", refusals.Path(r.URL.Path)),
		slog.String("content_type", refusals.Shorten(r.Header.Get("Content-Type"))),
		slog.Int64("bytes", r.ContentLength), // -1 when not announced
		slog.String("peer", rpc.Peer(ctx)),
		slog.String("request_id", rpc.RequestID(ctx)))
}

// begin marks the request of ctx as one that became a call.
func begin(ctx context.Context) {
	if in, ok := ctx.Value(incomingKey{}).(*incoming); ok {
		in.begun.Store(true)
	}
}
