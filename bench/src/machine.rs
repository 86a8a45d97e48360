//! Where and with what was measured: as much as a reader needs to judge the figures, and nothing that names the
//! machine.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

use serde::Serialize;

/// The machine and the versions of what ran on it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// What the processor calls itself.
    pub(crate) processor: String,
    /// How many threads run at once.
    pub(crate) cores: usize,
    /// Name and version of the kernel, without what a distributor or a host adds to it.
    pub(crate) kernel: String,
    /// What each program says of itself.
    pub(crate) versions: BTreeMap<&'static str, String>,
}

/// A program, how it is asked for its version, and the word before that in the answer.
pub(crate) type Program = (&'static str, &'static str, &'static str);

/// What the gateway is measured beside, and with.
pub(crate) const OF_THE_GATEWAY: [Program; 7] = [
    ("nginx", "-v", "nginx/"),
    ("apache2", "-v", "Apache/"),
    ("haproxy", "-v", "version "),
    ("wrk", "-v", "wrk "),
    ("h2load", "--version", "nghttp2/"),
    ("sqlite3", "-version", ""),
    RUSTC,
];

/// What storage engines are measured with. PostgreSQL's server is not in the search path; its tools are of its version.
pub(crate) const OF_STORAGE: [Program; 4] = [
    ("redis-server", "--version", "v="),
    ("pgbench", "--version", "(PostgreSQL) "),
    ("mariadbd", "--version", "Ver "),
    RUSTC,
];

/// What the session cache is measured beside, and with.
pub(crate) const OF_THE_CACHE: [Program; 6] = [
    ("redis-server", "--version", "v="),
    ("pgbench", "--version", "(PostgreSQL) "),
    ("shibd", "-v", "shibboleth "),
    ("apache2", "-v", "Apache/"),
    ("valgrind", "--version", "valgrind-"),
    RUSTC,
];

/// What the session server is measured beside.
pub(crate) const OF_THE_SERVER: [Program; 3] =
    [("starman", "--version", "Starman "), ("perl", "--version", "(v"), RUSTC];

const RUSTC: Program = ("rustc", "--version", "rustc ");

impl Machine {
    /// This one, with the versions of those programs that are there.
    pub(crate) fn with(programs: &[Program]) -> Self {
        let mut versions: BTreeMap<_, _> = programs
            .iter()
            .filter_map(|(program, option, before)| Some((*program, version(program, option, before)?)))
            .collect();
        versions.insert("cloakroom", own_version());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor().unwrap_or_else(|| "unknown".to_owned()),
            cores: cores(),
            kernel: format!("Linux {}", kernel.trim().split('-').next().unwrap_or_default()),
            versions,
        }
    }
}

/// How many threads run at once here: so many workers each server gets.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `None` when the program is not there. Some tell their version as an error, so what they end with is no matter.
fn version(program: &'static str, option: &str, before: &str) -> Option<String> {
    let path = interop::find(program, program).or_else(|_| interop::find("cargo", program)).ok()?;
    let path = path.with_file_name(program);
    let output = Command::new(path).arg(option).output().ok()?;
    let told = [output.stdout, output.stderr].concat();
    word_after(&String::from_utf8_lossy(&told), before)
}

fn word_after(text: &str, before: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_ascii_whitespace().next()?.to_owned())
}

/// What the binary is not made of.
const NOT_BUILT: [&str; 5] = [":/", ":!/bench", ":!/interop", ":!/xtask", ":!/docs"];

/// The version of the workspace and the commit, with a word when the files are not those of the commit.
fn own_version() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let own = env!("CARGO_PKG_VERSION");
    if std::env::var_os("CLOAKROOM_BIN").is_some() {
        return format!("{own} (a binary that was built before)");
    }
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return own.to_owned();
    };
    let changes = git(&[&["status", "--porcelain", "--untracked-files=no", "--"], &NOT_BUILT[..]].concat());
    let is_changed = changes.is_some_and(|list| !list.is_empty());
    format!("{own} ({commit}{})", if is_changed { ", with changes" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let nginx = "nginx version: nginx/1.22.1\n";
        assert_eq!(word_after(nginx, "nginx/").as_deref(), Some("1.22.1"));
        let apache = "Server version: Apache/2.4.71 (Debian)\nServer built: 2026\n";
        assert_eq!(word_after(apache, "Apache/").as_deref(), Some("2.4.71"));
        assert_eq!(word_after("3.40.1 2022-12-28", "").as_deref(), Some("3.40.1"));
        assert_eq!(word_after("no such thing", "version "), None);
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = Machine::with(&OF_THE_GATEWAY);
        assert!(machine.cores > 0 && machine.kernel.len() > "Linux ".len());
        assert!(machine.versions.contains_key("cloakroom"));
    }
}
