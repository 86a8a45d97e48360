//! What is said to MySQL and MariaDB, in what both understand.
//!
//! A row whose `expires` has come is not there, so every statement is told what time it is; the server's own clock is asked
//! only for the age of notices. A tombstone is a row with an `ended_at`. An end that leaves no tombstone leaves one whose
//! time is over.

/// context, name. Locks the row, whatever it is, for the rest of the transaction.
pub(super) const LOCK: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, NULL \
    FROM cloakroom_record WHERE context = ? AND name = ? FOR UPDATE";

/// context, name, version or NULL for the number of this very notice, kind.
pub(super) const TELL: &str =
    "INSERT INTO cloakroom_change (context, name, version, kind) VALUES (?, ?, ?, ?)";

/// number, context, name, version. Whatever is drawn from now on is above that number; the notice says again what was told. If
/// somebody has the number, it is no obstacle.
pub(super) const RAISE: &str =
    "INSERT IGNORE INTO cloakroom_change (id, context, name, version, kind) VALUES (?, ?, ?, ?, 'written')";

/// version, touched, expires, write, at, why, by, value, context, name. Where there is no row; two who do it at once get an error.
pub(super) const INSERT: &str = "\
    INSERT INTO cloakroom_record \
    (version, touched, expires, write_id, ended_at, ended_why, ended_by, value, context, name) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The same where there is a row, which is locked.
pub(super) const REPLACE: &str = "\
    UPDATE cloakroom_record SET version = ?, touched = ?, expires = ?, write_id = ?, ended_at = ?, ended_why = ?, \
    ended_by = ?, value = ? WHERE context = ? AND name = ?";

/// touched, expires, context, name, now.
pub(super) const TOUCH: &str = "\
    UPDATE cloakroom_record SET touched = GREATEST(touched, ?), expires = GREATEST(expires, ?) \
    WHERE context = ? AND name = ? AND expires > ? AND ended_at IS NULL";

/// until, context, name. Of a tombstone that is locked.
pub(super) const PROLONG: &str =
    "UPDATE cloakroom_record SET expires = GREATEST(expires, ?) WHERE context = ? AND name = ?";

/// the version whose value is not wanted, context, name, now.
pub(super) const READ: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, CASE WHEN version <> ? THEN value END \
    FROM cloakroom_record WHERE context = ? AND name = ? AND expires > ?";

/// context, name to begin behind, now, limit.
pub(super) const LIST: &str = "\
    SELECT version, touched, expires, name FROM cloakroom_record \
    WHERE context = ? AND name > ? AND expires > ? AND ended_at IS NULL ORDER BY name LIMIT ?";

/// context, the same context, name to begin behind, limit. What expired is among them, so that the work of a call is
/// bounded. In this form both databases follow the primary key.
pub(super) const SCAN: &str = "\
    SELECT version, touched, expires, write_id, ended_at, ended_why, ended_by, value, context, name \
    FROM cloakroom_record WHERE context >= ? AND (context > ? OR name > ?) ORDER BY context, name LIMIT ?";

/// now, limit.
pub(super) const REAP: &str = "\
    DELETE FROM cloakroom_record WHERE expires <= ? AND expires < 9223372036854775807 ORDER BY expires LIMIT ?";

/// How long notices stay: much longer than it takes to learn that some were missed.
pub(super) const FORGET: &str =
    "DELETE FROM cloakroom_change WHERE at < NOW(3) - INTERVAL 5 MINUTE ORDER BY at LIMIT 1000";

/// the last known number, limit.
pub(super) const CHANGES: &str =
    "SELECT id, context, name, version, kind FROM cloakroom_change WHERE id > ? ORDER BY id LIMIT ?";
