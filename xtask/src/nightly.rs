//! `cargo xtask nightly`: what takes too long for every run of the tests. Each kit leaves a page in `docs/nightly`, also when it
//! finds something, and then the others run all the same.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use crate::packages;
use crate::steps::{Failed, Outcome, cargo, program};

const CACHE: [&str; 5] = ["test", "--release", "--package", "cloakroom-cache", "--lib"];
const BLACK_BOX: [&str; 6] = ["test", "--release", "--package", "cloakroom-interop", "--test", "blackbox"];
/// By this a test says what the night's page is to tell; rows of a table speak for themselves.
const TOLD: &str = "told: ";

/// A kit, and what its page says of it.
struct Kit {
    page: &'static str,
    title: &'static str,
    what: &'static str,
    /// The head of the table that its tests write, if they do.
    table: Option<&'static str>,
    runs: Vec<Run>,
}

/// One call of the tests.
struct Run {
    name: &'static str,
    how_many: &'static str,
    tests: &'static [&'static str],
    filter: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

/// What became of one.
struct Result {
    seconds: u64,
    ended_well: bool,
    told: Vec<String>,
    rows: Vec<String>,
    /// How it comes again, or how else it failed.
    found: Vec<String>,
}

/// Runs all of it.
pub(crate) fn run() -> std::result::Result<(), Failed> {
    packages::install()?;
    let mut failed = Vec::new();
    for kit in kits() {
        let page = kit.page;
        if !kit.run()? {
            failed.push(page);
        }
    }
    let rotation = ["run", "--release", "--package", "cloakroom-interop", "--bin", "rotation", "--"];
    cargo(&[&rotation[..], &["600", "docs/nightly/rotation.md"]].concat()).run()?;
    match failed.as_slice() {
        [] => Ok(()),
        pages => Err(Failed::because(
            "cargo xtask nightly",
            format!("found something: docs/nightly/{}", pages.join(", ")),
        )),
    }
}

fn kits() -> [Kit; 4] {
    let worlds = |name, test| Run {
        name,
        how_many: "250 000, seeds 1 to 250 000",
        tests: &CACHE,
        filter: test,
        variable: Some(("CLOAKROOM_RUNS", "250000")),
    };
    let outage = |name, how_many, seconds| Run {
        name,
        how_many,
        tests: &BLACK_BOX,
        filter: &["outages::leaving::who_leaves_in_a_long"],
        variable: Some(("OUTAGE_SECONDS", seconds)),
    };
    [
        Kit {
            page: "worlds.md",
            title: "A million simulated worlds",
            what: "Two or three nodes over one storage, and one session that is used, changed, renewed and ended there while operations \
                   are late, lost or refused, lines are cut, change streams have gaps, clocks are set and processes die. Law 1, 2 \
                   and 3 are judged at every answer and at the end (`cache/src/tests/simulation.rs`).",
            table: None,
            runs: vec![
                worlds(
                    "on the server, calm",
                    &["tests::simulation::a_session_on_the_server_in_a_calm_world"],
                ),
                worlds(
                    "on the server, rough",
                    &["tests::simulation::a_session_on_the_server_in_a_rough_world"],
                ),
                worlds(
                    "carried by the visitor, calm",
                    &["tests::simulation::a_carried_session_in_a_calm_world"],
                ),
                worlds(
                    "carried by the visitor, rough",
                    &["tests::simulation::a_carried_session_in_a_rough_world"],
                ),
            ],
        },
        Kit {
            page: "renewal.md",
            title: "A hundred thousand schedules of browsers whose tickets are renewed",
            what: "Browsers with up to ten tabs, long polls, lost answers, nodes that die and storage that fails: nobody is accused \
                   who has the only jar. And visitors and thieves by turns: each thief is caught (`cache/src/tests/browsing.rs`).",
            table: None,
            runs: vec![Run {
                name: "browsers, and a tenth as many thefts",
                how_many: "100 000, seeds 2 000 to 101 999",
                tests: &CACHE,
                filter: &["tests::browsing"],
                variable: Some(("CLOAKROOM_SCHEDULES", "2000..102000")),
            }],
        },
        Kit {
            page: "kits.md",
            title: "Logouts in the middle of changes, and 64 changes at once",
            what: "The program as it runs, and what it takes over from (`interop/tests/kits.rs`). A round opens a session, has four \
                   answers that change it and a renewal under way, logs out in the middle of them, and shows every cookie that \
                   there ever was at every door.",
            table: Some(
                "| | logouts after which a cookie opened the session | changes lost, of 64 that were acknowledged |\n|---|---|---|\n",
            ),
            runs: vec![Run {
                name: "all",
                how_many: "1000 rounds of each",
                tests: &BLACK_BOX,
                filter: &["kits::", "--test-threads", "1"],
                variable: Some(("KIT_ROUNDS", "1000")),
            }],
        },
        Kit {
            page: "outages.md",
            title: "Storage is away",
            what: "For a second, half a minute and ten minutes, while people come, go and come back: nobody is told that a session is over \
                   that its visitor did not leave, nobody is in who left, and when storage is back all of it is so without anybody \
                   asking. In simulated time (`cache/src/tests/outage_kit.rs`), and for real with a gateway that is killed \
                   meanwhile (`interop/tests/outages/leaving.rs`).",
            table: None,
            runs: vec![
                Run {
                    name: "simulated, each with three lengths and three kinds of storage",
                    how_many: "1000, seeds 1 to 1000",
                    tests: &CACHE,
                    filter: &["tests::outage_kit", "--ignored"],
                    variable: None,
                },
                outage("for real, 30 s", "1", "30"),
                outage("for real, 600 s", "1", "600"),
            ],
        },
    ]
}

impl Kit {
    /// Whether nothing was found.
    fn run(&self) -> std::result::Result<bool, Failed> {
        let results: Vec<_> = self.runs.iter().map(Run::run).collect::<std::result::Result<_, _>>()?;
        let file = format!("docs/nightly/{}", self.page);
        let page = self.page(&results, &commit());
        fs::write(&file, page).map_err(|error| Failed::because(format!("writing {file}"), error))?;
        Ok(results.iter().all(|result| result.ended_well))
    }

    fn page(&self, results: &[Result], commit: &str) -> String {
        let mut page = format!(
            "# {}\n\n{}\n\nWritten by `cargo xtask nightly`, of {commit}.\n\n",
            self.title, self.what
        );
        page += "| what | how many | seconds | found |\n|---|---|---|---|\n";
        for (run, result) in self.runs.iter().zip(results) {
            let found = if result.ended_well { "nothing" } else { "**something**, see below" };
            let told: String = result.told.iter().map(|told| format!("; {told}")).collect();
            let _ =
                writeln!(page, "| {} | {}{told} | {} | {found} |", run.name, run.how_many, result.seconds);
        }
        let rows: Vec<_> = results.iter().flat_map(|result| &result.rows).collect();
        if let Some(head) = self.table.filter(|_| !rows.is_empty()) {
            page += "\n";
            page += head;
            rows.iter().for_each(|row| _ = writeln!(page, "{row}"));
        }
        for found in results.iter().flat_map(|result| &result.found) {
            let _ = write!(page, "\n- {found}");
        }
        page += "\nEach alone:\n\n```sh\n";
        self.runs.iter().for_each(|run| _ = writeln!(page, "{}", run.line()));
        page + "```\n"
    }
}

impl Run {
    fn run(&self) -> std::result::Result<Result, Failed> {
        let arguments = [self.tests, &["--"], self.filter, &["--nocapture"]].concat();
        let step = match self.variable {
            Some((name, value)) => cargo(&arguments).with(name, value),
            None => cargo(&arguments),
        };
        let began = Instant::now();
        let Outcome { status, lines } = step.watch()?;
        Ok(Result::of(&lines, began.elapsed().as_secs(), status.success()))
    }

    /// What somebody types to have it again.
    fn line(&self) -> String {
        let variable = self.variable.map(|(name, value)| format!("{name}={value} ")).unwrap_or_default();
        format!("{variable}cargo {} -- {}", self.tests.join(" "), self.filter.join(" "))
    }
}

impl Result {
    fn of(lines: &[String], seconds: u64, ended_well: bool) -> Self {
        let kept = |wanted: fn(&str) -> Option<&str>| {
            lines.iter().filter_map(|line| wanted(line)).map(str::to_owned).collect()
        };
        let found = match ended_well {
            true => Vec::new(),
            false => kept(|line| {
                (line.contains("comes again") || line.contains("panicked") || line.contains("law "))
                    .then_some(line)
            }),
        };
        Self {
            seconds,
            ended_well,
            told: kept(|line| line.split_once(TOLD).map(|(_, told)| told)),
            rows: kept(|line| line.find("| ").and_then(|at| line.get(at..)).filter(|row| row.ends_with('|'))),
            found,
        }
    }
}

/// Of what the night was.
fn commit() -> String {
    let asked = program("git", &["rev-parse", "--short", "HEAD"]).watch();
    let known = asked.ok().and_then(|outcome| outcome.lines.into_iter().next());
    known.unwrap_or_else(|| "what lies here".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_page_tells_what_ran_how_it_comes_again_and_what_was_found() {
        let [worlds, _, kits, _] = kits();
        let well = "test a ... told: 7 ends acknowledged\ntest result: ok. 1 passed; 0 failed;\n";
        let badly = "law 1: it is back\nthis world comes again with CLOAKROOM_SEED=34819\n";
        let results =
            [(well, true), (badly, false)].map(|(text, is_well)| Result::of(&lines(text), 12, is_well));
        let page = worlds.page(&results, "abc");
        assert!(page.contains("seeds 1 to 250 000; 7 ends acknowledged | 12 | nothing |"), "{page}");
        assert!(
            page.contains("**something**")
                && page.contains("- this world comes again with CLOAKROOM_SEED=34819"),
            "{page}"
        );
        assert!(page.contains("CLOAKROOM_RUNS=250000 cargo test --release"), "{page}");
        let row = "| Cloakroom | 0 of 1000 | 0 of 64 |";
        let page = kits.page(&[Result::of(&lines(&format!("test b ... {row}\n")), 12, true)], "abc");
        assert!(page.contains(&format!("|---|---|---|\n{row}\n")), "{page}");
    }
}
