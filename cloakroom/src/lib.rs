//! The program: its configuration, its command line, its log, and what it starts.

pub mod configuration;
