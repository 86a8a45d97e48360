//! What MySQL and MariaDB say when they say no, in the words of whoever must do something about it.
//!
//! Numbers: <https://mariadb.com/kb/en/mariadb-error-code-reference/>

use std::sync::Arc;

use sqlx::mysql::MySqlDatabaseError;

use crate::Problem;
use crate::sql::server::Nature;

pub(super) fn nature(number: u16) -> Nature {
    match number {
        // A deadlock, a lock that was waited for in vain, two who created the same key, a row that changed meanwhile.
        1213 | 1205 | 1062 | 1020 => Nature::Again,
        // It only reads.
        1290 | 1792 | 1836 => Nature::Moved,
        // The server is being stopped, or put an end to this connection.
        1053 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => Nature::Lost,
        number => {
            let (cure, lasts) = cure(number);
            Nature::Refused { cure, lasts }
        }
    }
}

/// What to do, and whether it lasts until somebody did.
fn cure(number: u16) -> (&'static str, bool) {
    match number {
        1045 | 1698 => (
            "see that `password_file` holds the password of that user, and that it may connect from here",
            true,
        ),
        1049 => ("create the database, or mend the name at the end of `url`", true),
        1044 | 1142 | 1143 | 1227 | 1370 => {
            ("grant the rights that the chapter on SQL databases lists", true)
        }
        1146 | 1054 => {
            ("tables are missing or of another program; put a backup back, or name another database", true)
        }
        1021 | 1114 | 3 | 1026 => ("the server's disk is full; make room on it", false),
        1037 | 1038 | 1041 => ("the server lacks memory; see its log", false),
        1040 | 1203 | 1226 => {
            ("raise `max_connections` of the server, or lower `max_connections` here", false)
        }
        1153 | 1118 => {
            ("the value is larger than `max_allowed_packet`, or than the log of the server can take", true)
        }
        1665 => ("set `binlog_format` to ROW or MIXED", true),
        1317 | 1969 => ("the server is overloaded, or somebody stopped the statement", false),
        126 | 127 | 144 | 145 | 1034 | 1194 | 1195 | 1712 => {
            ("the database is damaged; stop, and put a backup in its place", true)
        }
        _ => ("see the log of the server", false),
    }
}

/// A failure before anything could be used.
pub(super) fn at_start(place: &Arc<str>, error: &sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Database(said) => {
            let number = said.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
            Problem::database(&**place, said.message(), cure(number).0)
        }
        other => Problem::unreachable(place, other),
    }
}
