//! Redis, asked for values of the same size over its socket in the file system: what a session costs that is not held in the
//! process.

use std::time::Instant;

use interop::Redis;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, cmd, pipe};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::sessions::SESSION_BYTES;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::spread::Spread;
use crate::usage::{exact_cpu_time, family, own_cpu_time};

/// How many ask at a time, over one connection.
const CLIENTS: [u32; 2] = [1, 64];
/// How often all of them ask in a round.
const ASKED: u32 = 6_400;
/// How many values are written at once.
const PAGE: u64 = 1_000;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) clients: u32,
    /// From one answer to the next, on the wall.
    pub(super) nanoseconds: Spread,
    /// CPU time of this process.
    pub(super) cpu_nanoseconds: Spread,
    /// CPU time of the server.
    pub(super) server_nanoseconds: Spread,
}

/// Measures with so many values.
pub(super) fn measure(
    runtime: &Runtime,
    values: u64,
    rounds: u32,
    interrupt: &Interrupt,
) -> Result<Vec<Row>> {
    let server = Redis::start_with("appendonly no\n")?;
    let processes = family(server.process().id());
    let connection = runtime.block_on(connect(&server))?;
    runtime.block_on(fill(connection.clone(), values))?;
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let mut rounds_of = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            interrupt.check()?;
            let (own, servers) = (own_cpu_time(), exact_cpu_time(&processes));
            let began = Instant::now();
            runtime.block_on(ask(&connection, clients, values))?;
            let (wall, own) = (began.elapsed(), own_cpu_time().saturating_sub(own));
            let servers = exact_cpu_time(&processes).saturating_sub(servers);
            let each = |time: std::time::Duration| time.as_secs_f64() * 1e9 / f64::from(ASKED);
            rounds_of.0.push(each(wall));
            rounds_of.1.push(each(own));
            rounds_of.2.push(each(servers));
        }
        let (wall, own, servers) = rounds_of;
        if let (Some(nanoseconds), Some(cpu_nanoseconds), Some(server_nanoseconds)) =
            (Spread::of(wall), Spread::of(own), Spread::of(servers))
        {
            eprintln!("GET, {clients} at a time: {:.0} ns", nanoseconds.median);
            rows.push(Row { clients, nanoseconds, cpu_nanoseconds, server_nanoseconds });
        }
    }
    Ok(rows)
}

async fn connect(server: &Redis) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let url = format!("redis+unix://{}?protocol=resp3", server.socket().display());
    let client = Client::open(url).map_err(failed)?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)
}

async fn fill(mut connection: MultiplexedConnection, values: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(SESSION_BYTES as u64);
    for page in (0..values).step_by(usize::try_from(PAGE).unwrap_or(1)) {
        let mut pipe = pipe();
        for number in page..values.min(page + PAGE) {
            let value: Vec<u8> = (0..SESSION_BYTES).map(|_| random.u8(..)).collect();
            pipe.cmd("SET").arg(key(number)).arg(value).ignore();
        }
        pipe.query_async::<()>(&mut connection).await.map_err(failed)?;
    }
    Ok(())
}

async fn ask(connection: &MultiplexedConnection, clients: u32, values: u64) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let mut connection = connection.clone();
        tasks.spawn(async move {
            for _ in 0..ASKED / clients {
                let number = fastrand::u64(..values);
                let value: Vec<u8> =
                    cmd("GET").arg(key(number)).query_async(&mut connection).await.map_err(failed)?;
                if value.len() != SESSION_BYTES {
                    return Err(Error::Wrong { row: "redis", what: format!("{} bytes", value.len()) });
                }
            }
            Ok(())
        });
    }
    while let Some(asked) = tasks.join_next().await {
        asked.map_err(|error| Error::Load(error.to_string()))??;
    }
    Ok(())
}

/// As long as a handle is in text.
fn key(number: u64) -> String {
    format!("session:{number:032x}")
}

fn failed(error: RedisError) -> Error {
    Error::Load(format!("redis: {error}"))
}
