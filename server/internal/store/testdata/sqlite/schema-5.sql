-- A database with schema 4, as a server left it.
-- What one part of the server knew when it was last saved, for each bot.
CREATE TABLE state (
    bot      TEXT   NOT NULL,
    part     TEXT   NOT NULL,
    saved_at BIGINT NOT NULL,
    data     BYTEA  NOT NULL,
    PRIMARY KEY (bot, part)
);
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

CREATE TABLE schema_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp TIMESTAMP DEFAULT (datetime('now'))
);

INSERT INTO schema_version (version_id, is_applied) VALUES (0, 1), (1, 1), (2, 1), (3, 1), (4, 1);
INSERT INTO leases (bot, holder, epoch, until_at) VALUES ('bot', 'holder', 7, 1600000006000);
INSERT INTO replicas (id, bot, address, version, since_at, seen_at) VALUES
    ('holder', 'bot', 'holder:1', 'old', 1790000000000, 4000000000000);
INSERT INTO replica_secrets (id, secret, created_at) VALUES (20717, x'736563726574', 1790000000000);
INSERT INTO state (bot, part, saved_at, data) VALUES ('bot', 'part', 1790000000000, X'73617665');
INSERT INTO outbox (bot, seq, position, purged, unfinished, finished, bytes) VALUES ('bot', 3, 1, 0, 2, 1, 11);
INSERT INTO deliveries (seq, bot, caller, keyed, id, digest, method, target, state, priority, head, resend, replace_key,
    enqueued_at, not_before, expires_at, bytes, request) VALUES
    (1, 'bot', 'shop', 1, 'waiting', X'01', 'SendChannelMessage', 'channel 1', 2, 1, 1, 0, '',
    1790000000000, 0, 1790003600000, 7, X'72657175657374'),
    (2, 'bot', 'shop', 1, 'scheduled', X'02', 'SendChannelMessage', 'channel 1', 1, 2, 0, 1, 'board',
    1790000000000, 1790001800000, 1790003600000, 4, X'6c617465');
INSERT INTO deliveries (seq, bot, caller, keyed, id, digest, method, target, state, priority, head, resend, replace_key,
    enqueued_at, not_before, expires_at, tries, position, finished_at, channel, message, bytes) VALUES
    (3, 'bot', '127.0.0.1', 0, 'delivered', X'03', 'SendDirectMessage', 'user 2', 4, 1, 0, 0, '',
    1790000000000, 0, 1790003600000, 1, 1, 1790000001000, 5, 6, 0);

ALTER TABLE replicas ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE replicas ADD COLUMN load TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN noted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN since_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN holder_address TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN previous TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN released TEXT NOT NULL DEFAULT '';
INSERT INTO schema_version (version_id, is_applied) VALUES (5, 1);
