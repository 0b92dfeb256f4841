-- What a sandbox keeps of all accounts. A token is an account's public key.
BEGIN;
CREATE TABLE profiles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never that of a profile that was merged away
    token TEXT NOT NULL,
    email TEXT,
    phone_number TEXT,
    external_id TEXT,
    attributes TEXT NOT NULL
);
CREATE TABLE identifiers (
    token TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    profile INTEGER NOT NULL,
    PRIMARY KEY (token, kind, value)
) WITHOUT ROWID;
CREATE INDEX identifiers_by_profile ON identifiers (profile);
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    metric INTEGER NOT NULL,
    profile INTEGER NOT NULL,
    event_id TEXT,
    time_s INTEGER NOT NULL,
    properties TEXT NOT NULL,
    content BLOB NOT NULL,
    api TEXT NOT NULL,
    backfill INTEGER NOT NULL,
    arrived_s REAL NOT NULL  -- by the sandbox's clock: when a query may see it
);
-- Klaviyo: "If you don't specify an $event_id, it will default to the timestamp of the event."
CREATE UNIQUE INDEX one_event ON events (profile, metric, coalesce(event_id, time_s || ''));
CREATE INDEX events_in_time ON events (time_s, id);
CREATE TABLE refusals (
    id INTEGER PRIMARY KEY,
    time_s INTEGER NOT NULL,
    token TEXT,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE TABLE counts (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;
COMMIT;
