package api

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"
)

// pages reads one of Discord's lists page by page.
type pages[M any, P pointer[M]] struct {
	op discord.Operation
	// size is the largest number of elements of a page.
	size int
	// cursor is the argument that says behind which element a page begins:
	// "after" for a list in ascending order of ids, "before" for a descending
	// one.
	cursor string
	id     func(P) uint64
}

// walk gives limit elements to send, or as many as there are, in the order of
// the list. Pages are read as send takes their elements.
func (p pages[M, P]) walk(ctx context.Context, s *service, args discord.Args, limit int, send func(P) error) error {
	inOrder := func(a, b P) int { return cmp.Compare(p.id(a), p.id(b)) }
	if p.cursor == "before" {
		inOrder = func(a, b P) int { return cmp.Compare(p.id(b), p.id(a)) }
	}
	for limit > 0 {
		size := min(limit, p.size)
		args["limit"] = size
		data, err := s.discord.Call(ctx, caller.Of(ctx), p.op, args)
		if err != nil {
			return err
		}
		page, err := discordjson.UnmarshalList[M, P](data)
		if err != nil {
			return err
		}
		// A page itself can have another order than the list.
		slices.SortFunc(page, inOrder)
		for _, element := range page {
			if err := send(element); err != nil {
				return err
			}
		}
		if len(page) < size {
			return nil
		}
		limit -= size
		args[p.cursor] = strconv.FormatUint(p.id(page[size-1]), 10)
	}
	return nil
}
