-- +goose Up
-- What one part of the server knew when it was last saved, for each bot.
CREATE TABLE state (
    bot      TEXT   NOT NULL,
    part     TEXT   NOT NULL,
    saved_at BIGINT NOT NULL,
    data     BYTEA  NOT NULL,
    PRIMARY KEY (bot, part)
);
