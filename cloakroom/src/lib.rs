//! The program: its configuration, its command line, its log, and what it starts.

pub mod command;
pub mod configuration;
pub mod control;
pub mod key_files;
pub mod key_metrics;
pub mod logs;
pub mod report;
pub mod rotation;
pub mod run;
pub mod traces;
