//! Apache httpd: what `mod_session` and its family read and write.

pub mod form;
