//! Three gateways on a Redis Cluster of six nodes, of which a primary is killed under load.
//!
//! `cargo xtask example cluster` runs it, and the tests do for a shorter time. Everything is on loopback. Visitors open sessions
//! at one gateway, read them at the next and log out at the third; others stay. Five seconds after the kill the node
//! is started again, as a service manager would, and becomes a replica of the one that took its place. In the end every
//! session is asked for at every gateway: who did not log out must be in, who did must not be.

mod tally;
mod visitors;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use interop::{Answer, Capture, Cloakroom, Cluster};

use self::visitors::World;

const GATEWAYS: usize = 3;
/// How long the node stays away.
const AWAY: Duration = Duration::from_secs(5);

const CONFIGURATION: &str = r#"
data_dir = "{directory}/data"
[listen]
gateway = "{gateway}"
server = "{server}"
[log]
level = "warn"
[[storage]]
id = "cluster"
engine = "redis"
url = "{cluster}"
min_replicas = 1
[cache]
storage = "cluster"
# Sessions are asked for in the Cluster again and again, not only in this process.
inproc_timeout = "1s"
[[application]]
id = "shop"
hosts = ["127.0.0.1"]
upstream = "{upstream}"
[application.cookie]
name = "session"
secure = false
[application.login]
file = "users"
require = ["/account"]
"#;
/// Where there is a login there is a logout.
const USERS: &str = "ada:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(20);
    let report = arguments.next().map(PathBuf::from);
    match run(Duration::from_secs(seconds), report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Half of `time` under load before the kill, and half after everything is whole again.
fn run(time: Duration, report: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    eprintln!("starting a Redis Cluster of three primaries and three replicas, and {GATEWAYS} gateways");
    let mut cluster = Cluster::start()?;
    let upstream = Capture::answering(|request| match request.line().split(' ').nth(1) {
        Some(path) if path.starts_with("/put/") => {
            let update = path.trim_start_matches("/put/");
            Answer::with(&format!("X-Replace-Session: basket={update}\r\n"), "put")
        }
        _ => Answer::ok(&request.header("x-session").unwrap_or_default()),
    })?;
    let configuration =
        CONFIGURATION.replace("{cluster}", &cluster.url()).replace("{upstream}", &upstream.url());
    let gateways: Vec<Cloakroom> = (0..GATEWAYS)
        .map(|_| Cloakroom::start_with(&configuration, &[("users", USERS)]))
        .collect::<Result<_, _>>()?;
    for gateway in &gateways {
        eprintln!(
            "a gateway at http://{}, its session server at http://{}",
            gateway.gateway(),
            gateway.server()
        );
    }
    let world = World::new(gateways.iter().map(Cloakroom::gateway).collect());
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        world.enter(scope);
        let shown = show(&world, &mut cluster, &upstream, time);
        // Also if it failed: the visitors would go on for ever.
        world.leave();
        shown
    })?;
    eprintln!("asking for every session at every gateway");
    world.settle();
    let text = world.told();
    println!("{text}");
    if let Some(file) = report {
        std::fs::write(file, &text)?;
    }
    let wrong = world.wrong();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn show(
    world: &World,
    cluster: &mut Cluster,
    upstream: &Capture,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let pause = |time: Duration| {
        let began = Instant::now();
        while began.elapsed() < time {
            thread::sleep(Duration::from_millis(200));
            // What it remembers of requests is of no use here.
            upstream.take();
        }
    };
    pause(time / 2);
    let primary = cluster.nodes_mut().first_mut().ok_or("a Cluster without nodes")?;
    eprintln!("killing the primary at {}", primary.address());
    world.mark_kill();
    primary.kill()?;
    pause(AWAY);
    eprintln!("starting it again");
    cluster.nodes_mut().first_mut().ok_or("a Cluster without nodes")?.restart()?;
    cluster.wait_until_whole()?;
    world.mark_whole();
    eprintln!("the Cluster is whole again");
    pause(time / 2);
    Ok(())
}
