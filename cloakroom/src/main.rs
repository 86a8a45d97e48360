//! Cloakroom keeps web sessions for everything behind a front door.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cloakroom::command::main()
}
