-- What the ledger keeps. A target is a hash of URL and account; times are Unix seconds; a checksum
-- is over all other columns of its row, except ids that are numbers.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    target BLOB NOT NULL,
    run TEXT NOT NULL,
    time INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    keys BLOB NOT NULL,
    contents BLOB NOT NULL,
    carriers BLOB NOT NULL
) STRICT;
CREATE TABLE metrics (
    target BLOB NOT NULL,
    metric TEXT NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (target, metric)
) STRICT, WITHOUT ROWID;
CREATE TABLE rules (
    target BLOB NOT NULL,
    metric TEXT NOT NULL,
    rule TEXT NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (target, metric, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    target BLOB NOT NULL,
    command TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    state TEXT NOT NULL,
    summary TEXT NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
