//! Records in SQL databases.
//!
//! One table holds a row for each key, a live record or what an ended one left; a row beside it keeps the versions
//! growing. What differs from one database to the next lies in a folder for it: its schema, its statements, how it is
//! reached, and how writers come together. SQLite is the first.

pub mod sqlite;
