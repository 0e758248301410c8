-- +goose Up
-- A server has an id for each of its bots, so that a row's id remains its primary key:
-- servers with schema 4, which run on during an upgrade, insert ON CONFLICT (id). The id
-- of the process is the same for all bots of a server. It and the load, which is JSON,
-- are empty in rows of servers with schema 4.
ALTER TABLE replicas ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE replicas ADD COLUMN load TEXT NOT NULL DEFAULT '';
-- How the holder got the lease: since when, why, its address, and that of the previous
-- holder. A holder that releases the lease leaves the reason for the next one in
-- released. All of this is about the epoch in noted. If the lease has another epoch, its
-- holder is a server with schema 4, which does not note it.
ALTER TABLE leases ADD COLUMN noted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN since_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN holder_address TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN previous TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN released TEXT NOT NULL DEFAULT '';
