-- +goose Up
-- Lists of deliveries, the newest first. Most deliveries are delivered: without them, the
-- index of the states is small.
CREATE INDEX deliveries_by_caller ON deliveries (bot, caller, seq);
CREATE INDEX deliveries_by_time ON deliveries (bot, enqueued_at, seq);
CREATE INDEX deliveries_undelivered ON deliveries (bot, state, seq) WHERE state <> 4;
