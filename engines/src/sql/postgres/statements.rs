//! What is said to PostgreSQL.
//!
//! A row whose `expires` has come is not there, so every statement is told what time it is; the server's own clock is never
//! asked. A tombstone is a row with an `ended_at`. An end that leaves no tombstone leaves one whose time is over, so that
//! the next life of the key begins above its version.
//!
//! A version is drawn when a row is about to be written, which may be before the wait for another writer is over. An
//! update cannot be hurt by this: it needs the version that its writer saw, which was drawn before. Where a row takes the
//! place of one whose version is not smaller, another number is drawn.

/// Begins a transaction of several who have nothing to do with each other. If somebody holds a row that one of them needs,
/// the others must not wait for long: it is undone then, and each tries alone.
pub(super) const BEGIN_GROUP: &str = "BEGIN; SET LOCAL lock_timeout = '500ms'";

/// Its end may wait for its turn as long as it takes, like any other commit.
pub(super) const COMMIT_GROUP: &str = "SET LOCAL lock_timeout = 0; COMMIT";

/// context, name, touched, expires, write, value, now, channel, version that the record brings along or NULL. No row if
/// something is in the way.
pub(super) const CREATE: &str = "\
    WITH written AS (\
        INSERT INTO cloakroom_record AS there (context, name, version, touched, expires, write_id, value) \
        VALUES ($1, $2, COALESCE($9::bigint, nextval('cloakroom_version')), $3, $4, $5, $6) \
        ON CONFLICT (context, name) DO UPDATE SET \
            version = CASE WHEN excluded.version > there.version THEN excluded.version \
                ELSE nextval('cloakroom_version') END, touched = excluded.touched, \
            expires = excluded.expires, write_id = excluded.write_id, ended_at = NULL, ended_why = NULL, \
            ended_by = NULL, value = excluded.value \
        WHERE there.expires <= $7 \
        RETURNING version) \
    SELECT version, pg_notify($8, 'w' || version || ' ' || encode($2, 'hex') || ' ' || $1) FROM written";

/// context, name, expected version, write, value, touched, expires, now, channel. Times that are NULL stay; they move to
/// the later of each.
pub(super) const UPDATE: &str = "\
    WITH written AS (\
        UPDATE cloakroom_record SET version = nextval('cloakroom_version'), write_id = $4, value = $5, \
            touched = GREATEST(touched, $6), expires = GREATEST(expires, $7) \
        WHERE context = $1 AND name = $2 AND version = $3 AND expires > $8 AND ended_at IS NULL \
        RETURNING version) \
    SELECT version, pg_notify($9, 'w' || version || ' ' || encode($2, 'hex') || ' ' || $1) FROM written";

/// context, name, touched, expires, now.
pub(super) const TOUCH: &str = "\
    UPDATE cloakroom_record SET touched = GREATEST(touched, $3), expires = GREATEST(expires, $4) \
    WHERE context = $1 AND name = $2 AND expires > $5 AND ended_at IS NULL";

/// context, name, at, until, why, by, write, now, expected version or NULL, channel. Of a live record.
pub(super) const END: &str = "\
    WITH ended AS (\
        UPDATE cloakroom_record SET touched = $3, expires = $4, ended_at = $3, ended_why = $5, ended_by = $6, \
            write_id = $7, value = NULL \
        WHERE context = $1 AND name = $2 AND expires > $8 AND ended_at IS NULL \
            AND ($9::bigint IS NULL OR version = $9) \
        RETURNING version) \
    SELECT version, pg_notify($10, 'e' || version || ' ' || encode($2, 'hex') || ' ' || $1) FROM ended";

/// context, name, at, until, why, by, write, now, channel. Of what is not there, or ended: the first end counts, the later
/// `until` too. The write tells whether this one was first.
pub(super) const END_ABSENT: &str = "\
    WITH ended AS (\
        INSERT INTO cloakroom_record AS there \
            (context, name, version, touched, expires, ended_at, ended_why, ended_by, write_id) \
        VALUES ($1, $2, nextval('cloakroom_version'), $3, $4, $3, $5, $6, $7) \
        ON CONFLICT (context, name) DO UPDATE SET value = NULL, \
            version = CASE WHEN there.expires > $8 THEN there.version \
                WHEN excluded.version > there.version THEN excluded.version \
                ELSE nextval('cloakroom_version') END, \
            expires = CASE WHEN there.expires > $8 THEN GREATEST(there.expires, excluded.expires) \
                ELSE excluded.expires END, \
            touched = CASE WHEN there.expires > $8 THEN there.touched ELSE excluded.touched END, \
            ended_at = CASE WHEN there.expires > $8 THEN there.ended_at ELSE excluded.ended_at END, \
            ended_why = CASE WHEN there.expires > $8 THEN there.ended_why ELSE excluded.ended_why END, \
            ended_by = CASE WHEN there.expires > $8 THEN there.ended_by ELSE excluded.ended_by END, \
            write_id = CASE WHEN there.expires > $8 THEN there.write_id ELSE excluded.write_id END \
        WHERE there.expires <= $8 OR there.ended_at IS NOT NULL \
        RETURNING version, write_id) \
    SELECT version, write_id = $7, pg_notify($9, 'e' || version || ' ' || encode($2, 'hex') || ' ' || $1) FROM ended";

/// the version whose value is not wanted, or NULL where none is; context, name, now.
pub(super) const READ: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, CASE WHEN version <> $1 THEN value END \
    FROM cloakroom_record WHERE context = $2 AND name = $3 AND expires > $4";

/// context, name to begin behind, now, limit.
pub(super) const LIST: &str = "\
    SELECT version, touched, expires, name FROM cloakroom_record \
    WHERE context = $1 AND name > $2 AND expires > $3 AND ended_at IS NULL ORDER BY name LIMIT $4";

/// context and name to begin behind, limit. What expired is among them, so that the work of a call is bounded.
pub(super) const SCAN: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, value, context, name \
    FROM cloakroom_record WHERE (context, name) > ($1, $2) ORDER BY context, name LIMIT $3";

/// now, limit. The partial index is taken only if its condition is repeated. What somebody else holds is left for the next
/// time.
pub(super) const REAP: &str = "\
    DELETE FROM cloakroom_record WHERE (context, name) IN (\
        SELECT context, name FROM cloakroom_record WHERE expires <= $1 AND expires < 9223372036854775807 \
        ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
