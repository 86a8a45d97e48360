//! What PostgreSQL says when it says no, in the words of whoever must do something about it.
//!
//! Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>

use std::sync::Arc;

use crate::Problem;
use crate::sql::server::Nature;

pub(super) fn nature(code: &str) -> Nature {
    match code {
        // serialization_failure, deadlock_detected; unique_violation and the like where two opened at once.
        "40001" | "40P01" | "55P03" => Nature::Again,
        "25006" => Nature::Moved,
        // The server is being stopped or started, or put an end to this session.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Nature::Lost,
        code if code.starts_with("08") => Nature::Lost,
        code => {
            let (cure, lasts) = cure(code);
            Nature::Refused { cure, lasts }
        }
    }
}

/// What to do, and whether it lasts until somebody did.
fn cure(code: &str) -> (&'static str, bool) {
    match code {
        "28P01" => ("see that `password_file` holds the password of that user", true),
        "28000" => {
            ("see that `pg_hba.conf` lets that user in from here, and that `url` names the right one", true)
        }
        "3D000" => ("create the database, or mend the name at the end of `url`", true),
        "42501" => ("grant the rights that the chapter on SQL databases lists", true),
        "42P01" | "42703" => {
            ("tables are missing or of another program; put a backup back, or name another schema", true)
        }
        "53100" => ("the server's disk is full; make room on it", false),
        "53200" | "53400" => ("the server lacks memory; see its log", false),
        "53300" => ("raise `max_connections` of the server, or lower `max_connections` here", false),
        "54000" => {
            ("the server's queue of notices is full: somebody listens and does not read; see its log", false)
        }
        "57014" => ("the server is overloaded or somebody holds a lock; see `pg_stat_activity`", false),
        "XX001" | "XX002" => ("the database is damaged; stop, and put a backup in its place", true),
        _ => ("see the log of the server", false),
    }
}

/// A failure before anything could be used.
pub(super) fn at_start(place: &Arc<str>, error: &sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            Problem::database(&**place, said.message(), cure(&code).0)
        }
        other => Problem::unreachable(place, other),
    }
}
