-- +goose Up
-- The servers that share this database, and where the others reach them. Times are in
-- milliseconds by the clock of the database.
CREATE TABLE replicas (
    id       TEXT   NOT NULL PRIMARY KEY,
    bot      TEXT   NOT NULL,
    address  TEXT   NOT NULL,
    version  TEXT   NOT NULL,
    since_at BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL
);
-- What replicas prove with that a request comes from one of them: one for each day.
CREATE TABLE replica_secrets (
    id         BIGINT NOT NULL PRIMARY KEY,
    secret     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);
