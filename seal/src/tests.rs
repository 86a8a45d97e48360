//! What this crate promises, tried through its public interface.

mod keys;
mod laws;
