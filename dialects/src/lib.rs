//! Formats of other systems, read and written: no I/O, no state.
//!
//! Each module holds one system. What such a system wrote is read as it meant it, also where its own reader is wrong;
//! what is written here it can read. Parsers take any bytes, are bounded, and say what they left out.

pub mod apache;
pub mod llng;
