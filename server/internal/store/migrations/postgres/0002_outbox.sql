-- +goose Up
-- What the outbox counts, one row for each bot.
CREATE TABLE outbox (
    bot        TEXT   NOT NULL PRIMARY KEY,
    seq        BIGINT NOT NULL DEFAULT 0, -- newest place in the order
    position   BIGINT NOT NULL DEFAULT 0, -- newest position of a result
    purged     BIGINT NOT NULL DEFAULT 0, -- newest position that was purged
    unfinished BIGINT NOT NULL DEFAULT 0,
    finished   BIGINT NOT NULL DEFAULT 0,
    bytes      BIGINT NOT NULL DEFAULT 0  -- of the requests that are kept
);

-- The deliveries. Times are milliseconds, 0 means none. Of each caller's waiting
-- deliveries to one target one is the head, the next to be made.
CREATE TABLE deliveries (
    seq         BIGINT   NOT NULL,
    bot         TEXT     NOT NULL,
    caller      TEXT     NOT NULL,
    keyed       SMALLINT NOT NULL,
    id          TEXT     NOT NULL,
    digest      BYTEA    NOT NULL,
    method      TEXT     NOT NULL,
    target      TEXT     NOT NULL,
    state       SMALLINT NOT NULL,
    priority    SMALLINT NOT NULL,
    head        SMALLINT NOT NULL,
    resend      SMALLINT NOT NULL,
    replace_key TEXT     NOT NULL,
    enqueued_at BIGINT   NOT NULL,
    not_before  BIGINT   NOT NULL,
    expires_at  BIGINT   NOT NULL,
    next_try_at BIGINT   NOT NULL DEFAULT 0,
    tried_at    BIGINT   NOT NULL DEFAULT 0, -- when the first try of unknown outcome began
    tries       BIGINT   NOT NULL DEFAULT 0,
    position    BIGINT   NOT NULL DEFAULT 0,
    finished_at BIGINT   NOT NULL DEFAULT 0,
    channel     BIGINT   NOT NULL DEFAULT 0,
    message     BIGINT   NOT NULL DEFAULT 0,
    reason      TEXT     NOT NULL DEFAULT '',
    status      TEXT     NOT NULL DEFAULT '',
    bytes       BIGINT   NOT NULL,
    failure     BYTEA,
    request     BYTEA,
    PRIMARY KEY (bot, seq)
);
CREATE UNIQUE INDEX deliveries_by_id ON deliveries (bot, caller, id);
CREATE INDEX deliveries_in_line ON deliveries (bot, caller, target, head DESC, priority DESC, seq) WHERE state IN (2, 3);
CREATE INDEX deliveries_heads ON deliveries (bot, caller, priority DESC, seq) WHERE head = 1;
CREATE INDEX deliveries_scheduled ON deliveries (bot, not_before) WHERE state = 1;
CREATE INDEX deliveries_expiring ON deliveries (bot, expires_at) WHERE state IN (1, 2);
CREATE INDEX deliveries_replaceable ON deliveries (bot, caller, replace_key) WHERE replace_key <> '' AND state IN (1, 2);
CREATE INDEX deliveries_results ON deliveries (bot, position) WHERE position > 0;
CREATE INDEX deliveries_ended ON deliveries (bot, finished_at, position) WHERE position > 0;
CREATE INDEX deliveries_messages ON deliveries (bot, message) WHERE message > 0;
