//! The command line.

mod check;
mod config;
mod explain;
mod keys;
mod reload;
mod sessions;
mod store;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use miette::{IntoDiagnostic, MietteHandlerOpts, WrapErr};

use crate::configuration::{Configuration, LoadError, Loaded, Log};
use crate::logs::AuditFile;
use crate::traces::Exporting;
use crate::{logs, run};

const EXAMPLES: &str = "\
Examples:
  cloakroom                                    start the demonstration, on loopback
  cloakroom config example > cloakroom.toml    a configuration to begin with, explained
  cloakroom check --config cloakroom.toml      what is wrong in it, or what would run
  cloakroom check --explain https://host/path  which rule would decide what, and why
  cloakroom keys new keys/2026-11.key          a new key
  cloakroom run --config cloakroom.toml        start
  cloakroom reload --config cloakroom.toml     go on by a changed configuration
  cloakroom store check --config cloakroom.toml  verify every record where sessions are kept
  cloakroom sessions list --config cloakroom.toml  whose sessions there are now

The book: docs/ in the source. The keys of the configuration: cloakroom config reference.";

/// Keeps web sessions for everything behind a front door.
///
/// Hands a visitor a ticket (a cookie), keeps what belongs to it, gives it to the application behind on every request,
/// and makes sure that when the visitor leaves, the ticket is dead everywhere.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start, and run until told to stop (the default)
    ///
    /// Without a configuration, the demonstration starts on loopback: an application, the gateway in front of it, and the
    /// session server. SIGTERM and Ctrl-C stop it, after the requests in flight.
    Run(RunOptions),
    /// Say what is wrong in a configuration, or what would run
    ///
    /// Prints all mistakes at once, each with file, line, column, and what would be right, and exits with 1. A
    /// configuration without mistakes is summed up, with warnings of what is unwise, and the exit code is 0. Nothing is
    /// started, and nothing is written.
    ///
    /// With `--explain URL` it says where a request for that URL would go, what would hold for it, and which line of the file
    /// says so; what lost, and why; or why the request would be refused.
    Check(check::CheckOptions),
    /// Have the running Cloakroom go on by the changed configuration
    ///
    /// Checks the file first, as `check` does, then tells the process that runs with its `data_dir` and prints what came of
    /// it. Requests, connections and sessions are not touched. A configuration that is wrong in any point is refused with
    /// exit code 1, and what ran before goes on. SIGHUP does the same; its verdict is in the log.
    Reload(ConfigOption),
    /// Make keys, list those of a configuration, rotate them
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Look into a storage service, and move its records to another one
    #[command(subcommand)]
    Store(store::Store),
    /// List, show, end and export sessions of a running Cloakroom, over its API
    #[command(subcommand)]
    Sessions(Box<sessions::Sessions>),
    /// Print what can be configured, and what is
    #[command(subcommand)]
    Config(config::Config),
}

#[derive(Debug, Args)]
struct RunOptions {
    /// The configuration; without it, the demonstration
    #[arg(long, short, value_name = "FILE", env = "CLOAKROOM_CONFIG")]
    config: Option<PathBuf>,
    /// Take the place of the Cloakroom that runs with the same data_dir, if there is one, without a pause
    ///
    /// It hands over its listening sockets and its storage, answers what it has begun, and ends. If this process does not
    /// get ready, the other one goes on.
    #[arg(long, requires = "config")]
    take_over: bool,
}

#[derive(Debug, Args)]
struct ConfigOption {
    /// The configuration
    #[arg(long, short, value_name = "FILE", env = "CLOAKROOM_CONFIG")]
    config: PathBuf,
}

impl ConfigOption {
    fn load(&self) -> miette::Result<Loaded> {
        Ok(Configuration::load(&self.config)?)
    }
}

/// Does what the command line says. A failure is printed on standard error, and the exit code is 1; it is 2 when the
/// command line itself is wrong.
pub fn main() -> ExitCode {
    let line = Line::parse();
    match execute(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            tell(report);
            ExitCode::FAILURE
        }
    }
}

fn execute(line: Line) -> miette::Result<()> {
    // One line of the file to each mistake, and no line broken: a place can be copied, and found by `grep`.
    miette::set_hook(Box::new(|_| {
        Box::new(MietteHandlerOpts::new().context_lines(1).wrap_lines(false).terminal_links(false).build())
    }))?;
    match line.command.unwrap_or(Command::Run(line.run)) {
        Command::Run(options) => start(options),
        Command::Check(options) => check::check(&options),
        Command::Reload(option) => reload::reload(&option),
        Command::Keys(keys) => keys.execute(),
        Command::Store(store) => store.execute(),
        Command::Sessions(sessions) => sessions.execute(),
        Command::Config(config) => config.execute(),
    }
}

/// Prints what went wrong: of a configuration each mistake by itself, and how many there are where it is read last.
fn tell(report: miette::Report) {
    match report.downcast::<LoadError>() {
        Ok(LoadError::Wrong(problems)) => {
            for problem in problems.list() {
                eprintln!("{:?}", miette::Report::new(problem.clone()));
            }
            eprintln!("{problems}");
        }
        Ok(other) => eprintln!("{:?}", miette::Report::new(other)),
        Err(report) => eprintln!("{report:?}"),
    }
}

fn start(options: RunOptions) -> miette::Result<()> {
    let Some(file) = options.config else {
        // It has printed what there is to know; a log would only push that off the screen.
        logs::start(&Log { level: "warn".to_owned(), ..Configuration::default().log }, None, None)?;
        return run::run(None);
    };
    let loaded = Configuration::load(&file)?;
    let (exporting, spans) = Exporting::begin(&loaded.configuration)?;
    let audit = loaded.configuration.audit.file.as_deref().map(audit_file).transpose()?;
    let level = Some(logs::start(&loaded.configuration.log, audit.as_ref(), spans)?);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}; {}", warning.cure);
    }
    let file = Some(std::path::absolute(&file).into_diagnostic()?);
    let ran = run::run(Some(run::Plan { file, loaded, level, audit, takes_over: options.take_over }));
    exporting.end();
    ran
}

fn audit_file(path: &Path) -> miette::Result<AuditFile> {
    AuditFile::open(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("the audit cannot be written to {}", path.display()))
}
