//! Cloakroom side by side with its peers, on the machine where this runs.
//!
//! What a request costs is told as CPU time of the server's own processes, and as a ratio between servers that
//! were measured in the same round: requests per second say more about the machine, and about who else was
//! using it, than about a server. `bench/README.md` tells what is measured and how to read it.

mod cache;
mod ends;
mod engine;
mod error;
mod gateway;
mod instructions;
mod interrupt;
mod load;
mod machine;
mod server;
mod spread;
mod storage;
mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use error::Result;
use gateway::Plan;
use interrupt::Interrupt;

/// That of the program: the steps of a request ask for memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Cloakroom beside its peers on this machine.
#[derive(Debug, Parser)]
#[command(name = "cloakroom-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The gateway beside nginx, HAProxy and Apache with its session modules.
    Gateway(GatewayArguments),
    /// The session cache: finds, memory, openings and writes, beside moka, Redis and Shibboleth.
    Cache(CacheArguments),
    /// How soon an end reaches three gateways that share a storage.
    Ends(EndsArguments),
    /// The steps of a request with a session, in instructions and nanoseconds.
    Instructions(InstructionsArguments),
    /// Every storage engine through the contract, beside what it is built on.
    Storage(StorageArguments),
    /// The session server beside a real portal of LemonLDAP::NG.
    Server(ServerArguments),
    /// A server of HTTP/2 that does nothing: what the engine `remote` is compared with.
    #[command(hide = true)]
    Echo {
        /// Where it listens.
        address: SocketAddr,
    },
}

#[derive(Debug, clap::Args)]
struct CacheArguments {
    /// How often each lookup is measured.
    #[arg(long, default_value_t = 101, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How many sessions there are at most, in the first tier and of one person.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(2_000..=10_000_000))]
    sessions: u64,
    /// How often each opening is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    openings: u32,
    /// How many sessions one person gets at Shibboleth.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    shibboleth: u32,
    /// For how many minutes of requests the writes are counted.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Few sessions and short rounds, printed and not written: to see that everything works.
    #[arg(long, conflicts_with_all = ["rounds", "sessions", "openings", "shibboleth", "minutes"])]
    quick: bool,
    /// Measure these parts alone, and only print them.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    only: Vec<String>,
    /// Do this and nothing else: what runs in a process of its own.
    #[arg(long, value_name = "WHO,SESSIONS[,TIMES]", hide = true)]
    alone: Option<String>,
    /// Where cache.md is written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

impl From<&CacheArguments> for cache::Plan {
    fn from(arguments: &CacheArguments) -> Self {
        let CacheArguments { rounds, sessions, openings, shibboleth, minutes, quick, only, .. } = arguments;
        let (rounds, sessions, openings, shibboleth, minutes) = match quick {
            true => (5, 5_000, 3, 100, 2),
            false => (*rounds, *sessions, *openings, *shibboleth, *minutes),
        };
        Self { rounds, sessions, openings, shibboleth, minutes, only: only.clone() }
    }
}

#[derive(Debug, clap::Args)]
struct StorageArguments {
    /// How often each stretch is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a stretch takes, in milliseconds.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    milliseconds: u64,
    /// How many sessions there are.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(2_000..=100_000_000))]
    sessions: u64,
    /// How many sessions each engine holds in a second run, without what it is compared with; 0 for no such run.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(0..=100_000_000))]
    many_sessions: u64,
    /// How long it may take to write those, in seconds: engines that would need longer are left out of the second run.
    #[arg(long, default_value_t = 60)]
    fill_limit: u64,
    /// One short round with few sessions, printed and not written: to see that everything works.
    #[arg(long, conflicts_with_all = ["rounds", "milliseconds", "sessions", "many_sessions"])]
    quick: bool,
    /// Measure these rows alone, and only print them.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    only: Vec<String>,
    /// Where storage.md and storage.json are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

impl From<&StorageArguments> for storage::Plan {
    fn from(arguments: &StorageArguments) -> Self {
        let (rounds, milliseconds, sessions, many_sessions) = match arguments.quick {
            true => (1, 150, 5_000, 0),
            false => (arguments.rounds, arguments.milliseconds, arguments.sessions, arguments.many_sessions),
        };
        Self {
            rounds,
            length: Duration::from_millis(milliseconds),
            sessions,
            many_sessions,
            fill_limit: Duration::from_secs(arguments.fill_limit),
            only: arguments.only.clone(),
        }
    }
}

#[derive(Debug, clap::Args)]
struct InstructionsArguments {
    /// Do one step that often and nothing else: what is run under valgrind.
    #[arg(long, value_name = "STEP=TIMES", hide = true)]
    repeat: Option<String>,
    /// Where instructions.md is written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct EndsArguments {
    /// How many sessions are ended, on each storage.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    ends: u32,
    /// How long the load is measured that the gateways can take, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many sessions are ended while the line of a gateway to the storage is cut.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    cuts: u32,
    /// Twenty ends and one cut, printed and not written: to see that everything works.
    #[arg(long, conflicts_with_all = ["ends", "seconds", "cuts"])]
    quick: bool,
    /// Where ends.md is written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ServerArguments {
    /// How often each server is asked, in rotation.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each time, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How many sessions are listed and searched.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    sessions: u64,
    /// One round and few sessions, printed and not written: to see that everything works.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "sessions"])]
    quick: bool,
    /// Where server.md is written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct GatewayArguments {
    /// How often each server is measured, in rotation. Many short rounds rather than few long ones: the speed of a
    /// shared machine changes within minutes, and a ratio is as good as its two measurements are near.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long one measurement takes, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How long the same load runs before it, in seconds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
    warm_up: u64,
    /// How many connections carry the load.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    connections: u32,
    /// One round of two seconds, printed and not written: to see that everything works.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "warm_up"])]
    quick: bool,
    /// Measure these rows alone, and only print them.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    only: Vec<String>,
    /// Where gateway.md and gateway.json are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    output: PathBuf,
}

impl From<&GatewayArguments> for Plan {
    fn from(arguments: &GatewayArguments) -> Self {
        let (rounds, seconds, warm_up) = match arguments.quick {
            true => (1, 2, 1),
            false => (arguments.rounds, arguments.seconds, arguments.warm_up),
        };
        Self {
            rounds,
            length: Duration::from_secs(seconds),
            warm_up: Duration::from_secs(warm_up),
            connections: arguments.connections,
            only: arguments.only.clone(),
        }
    }
}

fn main() -> ExitCode {
    let measured = match Arguments::parse().command {
        Command::Gateway(arguments) => measure_gateway(&arguments),
        Command::Cache(CacheArguments { alone: Some(what), .. }) => cache::alone(&what),
        Command::Cache(arguments) => measure_cache(&arguments),
        Command::Ends(arguments) => measure_ends(&arguments),
        Command::Instructions(InstructionsArguments { repeat: Some(step), .. }) => {
            instructions::repeat(&step)
        }
        Command::Instructions(arguments) => instructions::measure(&arguments.output),
        Command::Storage(arguments) => measure_storage(&arguments),
        Command::Server(arguments) => measure_server(&arguments),
        Command::Echo { address } => storage::serve_echo(address),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_cache(arguments: &CacheArguments) -> Result<()> {
    let report = cache::measure(&cache::Plan::from(arguments), &Interrupt::watched()?)?;
    println!("{}", report.markdown());
    if arguments.quick || !arguments.only.is_empty() {
        eprintln!("Nothing was written: that takes a whole run.");
        return Ok(());
    }
    report.write(&arguments.output)
}

fn measure_ends(arguments: &EndsArguments) -> Result<()> {
    let (ends, seconds, cuts) =
        if arguments.quick { (20, 2, 1) } else { (arguments.ends, arguments.seconds, arguments.cuts) };
    let plan = ends::Plan { ends, length: Duration::from_secs(seconds), cuts };
    let report = ends::measure(&plan, &Interrupt::watched()?)?;
    println!("{}", report.markdown());
    if arguments.quick { Ok(()) } else { report.write(&arguments.output) }
}

fn measure_gateway(arguments: &GatewayArguments) -> Result<()> {
    let report = gateway::measure(&Plan::from(arguments), &Interrupt::watched()?)?;
    println!("{}", report.markdown());
    if arguments.quick || !arguments.only.is_empty() {
        eprintln!("Nothing was written: that takes a whole run.");
        return Ok(());
    }
    report.write(&arguments.output)
}

fn measure_storage(arguments: &StorageArguments) -> Result<()> {
    let report = storage::measure(&storage::Plan::from(arguments), &Interrupt::watched()?)?;
    println!("{}", report.markdown());
    if arguments.quick || !arguments.only.is_empty() {
        eprintln!("Nothing was written: that takes a whole run.");
        return Ok(());
    }
    report.write(&arguments.output)
}

fn measure_server(arguments: &ServerArguments) -> Result<()> {
    let (rounds, seconds, sessions) = match arguments.quick {
        true => (1, 1, 1_000),
        false => (arguments.rounds, arguments.seconds, arguments.sessions),
    };
    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
    let plan = server::Plan { rounds, length: Duration::from_secs(seconds), connections: 8, sessions };
    let report = server::measure(&plan, &Interrupt::watched()?)?;
    println!("{}", report.markdown());
    if arguments.quick { Ok(()) } else { report.write(&arguments.output) }
}
