//! What is said to SQLite.
//!
//! Parameters are taken in the order in which they appear. A row whose `expires` has come is not there, so every
//! statement is told what time it is; SQLite's own clock is never asked. A tombstone is a row with an `ended_at`.

/// context, name, version, touched, expires, write, value, now. Changes no row if something is in the way.
pub(super) const CREATE: &str = "\
    INSERT INTO record (context, name, version, touched, expires, write_id, value) VALUES (?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (context, name) DO UPDATE SET version = excluded.version, touched = excluded.touched, \
    expires = excluded.expires, write_id = excluded.write_id, ended_at = NULL, ended_why = NULL, ended_by = NULL, \
    value = excluded.value WHERE record.expires <= ?";

/// version, write, value, context, name, expected version, write, now. Leaves the times and so the order of expiry.
pub(super) const UPDATE: &str = "\
    UPDATE record SET version = ?, write_id = ?, value = ? WHERE context = ? AND name = ? AND version = ? \
    AND write_id <> ? AND expires > ? AND ended_at IS NULL";

/// version, write, value, touched, expires, context, name, expected version, write, now.
pub(super) const UPDATE_WITH_TIMES: &str = "\
    UPDATE record SET version = ?, write_id = ?, value = ?, touched = max(touched, ?), expires = max(expires, ?) \
    WHERE context = ? AND name = ? AND version = ? AND write_id <> ? AND expires > ? AND ended_at IS NULL";

/// version, write, value, touched, context, name, expected version, write, now, expires. The same for a record that stays for so long
/// as it is: its place in the order of expiry is not written again.
pub(super) const UPDATE_THAT_STAYS: &str = "\
    UPDATE record SET version = ?, write_id = ?, value = ?, touched = max(touched, ?) \
    WHERE context = ? AND name = ? AND version = ? AND write_id <> ? AND expires > ? AND ended_at IS NULL \
    AND expires >= ?";

/// touched, expires, context, name, now.
pub(super) const TOUCH: &str = "\
    UPDATE record SET touched = max(touched, ?), expires = max(expires, ?) \
    WHERE context = ? AND name = ? AND expires > ? AND ended_at IS NULL";

/// context, name, version, touched, expires, at, why, by. Takes the place of whatever is there.
pub(super) const BURY: &str = "\
    INSERT INTO record (context, name, version, touched, expires, ended_at, ended_why, ended_by) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (context, name) DO UPDATE SET version = excluded.version, touched = excluded.touched, \
    expires = excluded.expires, write_id = NULL, ended_at = excluded.ended_at, ended_why = excluded.ended_why, \
    ended_by = excluded.ended_by, value = NULL";

/// until, context, name, now. Prolongs a tombstone.
pub(super) const PROLONG: &str = "\
    UPDATE record SET expires = max(expires, ?) WHERE context = ? AND name = ? AND expires > ? \
    AND ended_at IS NOT NULL";

/// context, name.
pub(super) const REMOVE: &str = "DELETE FROM record WHERE context = ? AND name = ?";

/// now, limit. The partial index is taken only if its condition is repeated to the letter.
pub(super) const REAP: &str = "\
    DELETE FROM record WHERE id IN (SELECT id FROM record WHERE expires <= ? AND expires < 9223372036854775807 \
    ORDER BY expires LIMIT ?)";

/// the version whose value is not wanted, context, name, now.
pub(super) const READ: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, \
    CASE WHEN version <> ? THEN value END \
    FROM record WHERE context = ? AND name = ? AND expires > ?";

/// context, name, now. All of [`READ`] but the value.
pub(super) const READ_WITHOUT_VALUE: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, NULL \
    FROM record WHERE context = ? AND name = ? AND expires > ?";

/// context, name to begin behind, now, limit.
pub(super) const LIST: &str = "\
    SELECT version, touched, expires, name FROM record \
    WHERE context = ? AND name > ? AND expires > ? AND ended_at IS NULL ORDER BY name LIMIT ?";

/// id to begin behind, limit. What expired is among them, so that the work of a call is bounded.
pub(super) const SCAN: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, value, id, context, name FROM record \
    WHERE id > ? ORDER BY id LIMIT ?";

/// Where the rows behind an id begin. Ids of rows that went leave gaps, and nobody should walk through those.
pub(super) const NEXT: &str = "SELECT id FROM record WHERE id > ? ORDER BY id LIMIT 1";

/// From an id on, to which, the first context and the one behind the last, now: what is live in a stretch. The plus
/// keeps the index out, which would lead from one place to another. Of a row that is not wanted only the context is looked at.
pub(super) const SCAN_OF: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, value, id, context, name FROM record \
    WHERE id BETWEEN ? AND ? AND +context >= ? AND +context < ? AND +expires > ? AND ended_at IS NULL ORDER BY id";

/// Versions up to this one may have been used.
pub(super) const CEILING: &str = "SELECT ceiling FROM versions WHERE only = 1";

/// ceiling.
pub(super) const RAISE_CEILING: &str = "UPDATE versions SET ceiling = ? WHERE only = 1";
