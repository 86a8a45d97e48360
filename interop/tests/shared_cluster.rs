//! Three gateways on a Redis Cluster that loses a primary under load.

use std::process::Command;

use interop::{Redis, available};

#[test]
fn a_primary_dies_under_load_and_no_end_is_undone_and_nobody_logged_out() {
    // Says that Redis is missing, if it is.
    let Some(_) = available(Redis::start()).unwrap() else { return };
    let shown = Command::new(env!("CARGO_BIN_EXE_cluster")).arg("6").output().unwrap();
    let (told, errors) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success(), "{told}\n{errors}");
    assert!(told.contains("| **ends undone** | **0** |"), "{told}");
}
