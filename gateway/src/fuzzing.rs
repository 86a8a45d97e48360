//! What is parsed in here and is no part of the interface, for the fuzz targets in `fuzz/`.
//!
//! Only with the feature `fuzzing`, which nothing that is shipped turns on. Everything takes any text, and does no more
//! than the module behind it.

use crate::carrier::fuzzing as carrier;
use crate::login::fuzzing as login;

pub use carrier::SealedCookie;
pub use login::{LoginForm, ReturnTo, Users};
