-- The first schema: see docs/src/reference/sqlite.md.

-- One row for each key: a live record, or the tombstone of one that was ended.
CREATE TABLE record (
    id INTEGER PRIMARY KEY,
    context TEXT NOT NULL,
    name BLOB NOT NULL,
    version INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    write_id BLOB,
    ended_at INTEGER,
    ended_why TEXT,
    ended_by TEXT,
    -- The last column: whatever is before it is read without following the pages of a long value.
    value BLOB,
    UNIQUE (context, name),
    CHECK ((value IS NULL) = (ended_at IS NOT NULL))
) STRICT;

-- What never expires needs no place in the order of expiry.
CREATE INDEX record_by_expiry ON record (expires) WHERE expires < 9223372036854775807;

-- All versions up to the ceiling may have been used.
CREATE TABLE versions (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    ceiling INTEGER NOT NULL
) STRICT;

INSERT INTO versions (only, ceiling) VALUES (1, 0);

-- "Clkr", so that neither we nor `file` take it for something else.
PRAGMA application_id = 1131178866;
