//! Schemathesis, which tries the API against its description: brought by pip into a virtual environment below `target/`.
//!
//! What is installed is named with all that it needs, so that a run today tries what a run last year did. Where it is there already
//! nothing is asked of the network.

use std::fs;
use std::path::{Path, PathBuf};

use crate::steps::{Failed, program};

/// Where it is, and what it needs. The test in `interop/tests/described` looks there.
const PLACE: &str = "target/schemathesis";
const NEEDS: &str = "interop/tests/described/requirements.txt";

/// Installs it, unless it is there. Where that cannot be done it is said what is skipped for want of it; on the build server, where
/// nothing is skipped, that is a failure.
pub(crate) fn install() -> Result<(), Failed> {
    if is_there() {
        return Ok(());
    }
    let installed = bring();
    match installed {
        Err(failed) if std::env::var_os("CI").is_none() => {
            eprintln!(
                "{failed}\n\
                 not installed: schemathesis\n\
                 The API is not tried against its description. It needs python3 with venv, and once the network for pip."
            );
            Ok(())
        }
        other => other,
    }
}

/// Whether all of it is there, as it is named now.
pub(crate) fn is_there() -> bool {
    let wanted = fs::read(NEEDS);
    wanted.is_ok_and(|wanted| fs::read(done()).is_ok_and(|there| there == wanted))
}

fn bring() -> Result<(), Failed> {
    // What an interrupted run left is no environment.
    program(python(), &["-m", "venv", "--clear", PLACE]).run()?;
    let pip = Path::new(PLACE).join("bin/pip");
    program(&pip.display().to_string(), &["install", "--quiet", "--disable-pip-version-check", "-r", NEEDS])
        .run()?;
    fs::copy(NEEDS, done())
        .map(drop)
        .map_err(|error| Failed::because(format!("writing {}", done().display()), error))
}

/// What was installed: written last.
fn done() -> PathBuf {
    Path::new(PLACE).join("installed.txt")
}

/// Debian's own, for which Debian brings what makes environments; else whichever there is.
fn python() -> &'static str {
    let debian = "/usr/bin/python3";
    if Path::new(debian).is_file() { debian } else { "python3" }
}
