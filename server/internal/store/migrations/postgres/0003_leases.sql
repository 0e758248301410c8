-- +goose Up
-- Which server may send for a bot. The epoch grows with each new holder. until_at is in
-- milliseconds by the clock of the database.
CREATE TABLE leases (
    bot      TEXT   NOT NULL PRIMARY KEY,
    holder   TEXT   NOT NULL,
    epoch    BIGINT NOT NULL,
    until_at BIGINT NOT NULL
);
-- In a unique index, a new epoch waits for the transactions that have locked the old one
-- by FOR KEY SHARE. A renewal, which keeps the epoch, does not.
CREATE UNIQUE INDEX leases_epoch ON leases (bot, epoch);
