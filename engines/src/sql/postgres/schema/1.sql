-- The first schema: see docs/src/storage/sql.md.

-- One row for each key: a live record, or the tombstone of one that was ended. Contexts are compared by their bytes,
-- whatever the language of the database.
CREATE TABLE cloakroom_record (
    context text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    version bigint NOT NULL,
    touched bigint NOT NULL,
    expires bigint NOT NULL,
    write_id bytea NOT NULL,
    ended_at bigint,
    ended_why text,
    ended_by text,
    value bytea,
    PRIMARY KEY (context, name),
    CHECK ((value IS NULL) = (ended_at IS NOT NULL))
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);

-- What never expires needs no place in the order of expiry.
CREATE INDEX cloakroom_record_by_expiry ON cloakroom_record (expires) WHERE expires < 9223372036854775807;

-- Every write draws from it. Without a cache, so that who draws later has the larger number.
CREATE SEQUENCE cloakroom_version AS bigint CACHE 1;
