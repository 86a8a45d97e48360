//! The API does what its description says, whatever Schemathesis makes of that.
//!
//! It makes requests that the description allows, and others that it forbids, of each operation alone and along the links from one
//! to the next, and judges each answer: its status, type, body and headers, whether what is wrong was refused, and whether an
//! operation is open to whom it should not be. Which checks are off, and why, is in `described/schemathesis.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;

use interop::{Cloakroom, Error, Result, available};

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
[cache]
cache_assertions = true
index_entries = [\"mail\"]
[[application]]
id = \"shop\"
upstream = \"http://127.0.0.1:9\"
[[client]]
id = \"tester\"
bearer_file = \"tester.token\"
may = [\"sessions\", \"admin_sessions\", \"secrets\"]
";
const TOKEN: &str = "the-token-of-the-tester-0123456789";

/// What it must have done at least, so that it is known to have done something.
const FEWEST: usize = 1_000;

/// Where `cargo xtask test` puts it.
fn schemathesis() -> Result<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemathesis");
    // Written when all of it was there.
    if !place.join("installed.txt").is_file() {
        return Err(Error::NotBrought { program: "schemathesis" });
    }
    Ok(place.join("bin/schemathesis"))
}

#[test]
fn schemathesis_finds_nothing_that_is_not_as_it_is_described() {
    let Some(schemathesis) = available(schemathesis()).unwrap() else { return };
    let files = [
        ("tester.token", TOKEN),
        ("schemathesis.toml", include_str!("described/schemathesis.toml")),
        ("hooks.py", include_str!("described/hooks.py")),
    ];
    let cloakroom = Cloakroom::start_with(CONFIGURATION, &files).unwrap();
    let run = Command::new(schemathesis)
        .args(["--config-file", "schemathesis.toml", "run", "--no-color"])
        .arg(format!("http://{}/v1/openapi.json", cloakroom.server()))
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .current_dir(cloakroom.directory())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", cloakroom.directory())
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{errors}\n{}", cloakroom.log());
    let tried = |line: &str| line.split_once(" generated").and_then(|(number, _)| number.trim().parse().ok());
    let tried: usize = said.lines().find_map(tried).unwrap();
    assert!(tried >= FEWEST, "only {tried} requests: {said}");
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(&format!("\u{2705} {phase}")), "{phase} was not run: {said}");
    }
    assert!(!cloakroom.log().contains("panicked"), "{}", cloakroom.log());
    assert!(!cloakroom.log().contains(TOKEN));
}
