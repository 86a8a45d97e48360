//! Why an engine takes more than the bare driver, where it takes more than it should: for each row and operation, what it
//! does that the driver alone does not.

use super::work::Operation;

/// What the engine of that row does for what it takes, if there is something to say.
pub(super) fn why(row: &str, operation: Operation) -> Option<&'static str> {
    use Operation::{Bury, Create, Read, Touch, Unchanged, Update};
    Some(match (row, operation) {
        ("memory", Create | Update | Bury) => {
            "the bare side only puts a value into a map. The engine draws a version, keeps the order of expiry, leaves a \
             tombstone, and tells whoever watches; each of them takes about what the map takes"
        }
        ("memory", Read | Unchanged | Touch) => {
            "there is no network and no file, so that the call through the contract shows: it takes memory for its future. A \
             touch moves the session in the order of expiry as well"
        }
        ("redis" | "redis-everysec" | "redis-always", Create | Update | Touch | Bury) => {
            "most of what is spent here is system calls and waking up. The script of the contract looks at what is there, \
             draws a version, keeps names, expiry and the order of what is due, and tells the other nodes, which takes the server \
             several times as long as a plain `SET`; the client, which waits for it, then has fewer questions in one write and \
             fewer answers in one read. The rest is a longer command: four keys and a dozen arguments in the place of two"
        }
        ("redis", Read | Unchanged) => {
            "an operation has a deadline, and a connection that is watched for silence: a timer each. A read of what may be \
             unchanged is a script, so that the value stays where it is"
        }
        ("postgres", Create | Update | Touch | Bury) => {
            "an operation is a task of its own, so that a visitor who leaves does not take a connection along, and with many \
             clients the statements of a group are said one after the other in one transaction, with its beginning and its \
             end; in exchange the server waits for its disk once for all of them. A statement has up to ten parameters, and \
             announces the change"
        }
        ("mariadb", Create | Update | Bury) => {
            "MariaDB has nothing that returns the version of a row that is updated, and tells nobody: a write is a transaction \
             that locks the row, writes the notice whose number is the version, and writes the row, five statements to the \
             one of the bare side"
        }
        ("mariadb", Touch) | ("postgres" | "mariadb", Read | Unchanged) => {
            "an operation is a task of its own, so that a visitor who leaves does not take a connection along; and a row has \
             eight columns in the place of three"
        }
        ("embedded", Read | Unchanged) => {
            "a row has eight columns in the place of three, each of which the driver copies"
        }
        ("embedded", Create | Update | Touch | Bury) => {
            "with one client a group has one operation: it is a transaction with its beginning and its end to the one \
             statement of the bare side, and the order of expiry is an index that is kept"
        }
        ("remote", _) => {
            "the requests are those of the protocol, with a token, a deadline and a type; each waits under a deadline, and the \
             connection is watched for silence and asked by pings whether it lives. Mostly it is the server that tells: one that \
             looks up the session answers later than one that does nothing, so that fewer requests and answers travel in one \
             system call"
        }
        _ => return None,
    })
}
