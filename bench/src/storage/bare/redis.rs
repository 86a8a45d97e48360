//! Redis, asked through its driver: a command an operation, or the shortest script that says the same.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, cmd};

use crate::error::{Error, Result};
use crate::storage::sessions::{VALUE_BYTES, place, value};
use crate::storage::work::{Operation, Work};

/// Where the times lie in a record of ours, and how many bytes they have.
const TIMES: (usize, [u8; 16]) = (9, [0; 16]);
/// The last byte of what comes before the value in a record of ours.
const HEAD: usize = 40;

/// One command for each operation, over one connection for all clients, as the engine has it.
pub(in crate::storage) struct Commands(MultiplexedConnection);

/// The same by scripts that are known to the server.
pub(in crate::storage) struct Scripts {
    commands: Commands,
    set: String,
    set_range: String,
    remove: String,
}

impl Commands {
    pub(in crate::storage) async fn connect(url: &str) -> Result<Arc<Self>> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let client = Client::open(format!("{url}?protocol=resp3")).map_err(failed)?;
        Ok(Arc::new(Self(
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?,
        )))
    }

    async fn ask<A: FromRedisValue>(&self, command: &Cmd) -> Result<A> {
        command.query_async(&mut self.0.clone()).await.map_err(failed)
    }
}

impl Work for Commands {
    async fn work(&self, operation: Operation, number: u64) -> Result<()> {
        let key = key("bare", number);
        match operation {
            Operation::Create | Operation::Update => self.ask(cmd("SET").arg(key).arg(&value()[..])).await,
            Operation::Read => {
                let read: Vec<u8> = self.ask(cmd("GET").arg(key)).await?;
                if read.len() == VALUE_BYTES { Ok(()) } else { Err(lost(number)) }
            }
            Operation::Unchanged => {
                let head: Vec<u8> = self.ask(cmd("GETRANGE").arg(key).arg(0).arg(HEAD)).await?;
                if head.len() == HEAD + 1 { Ok(()) } else { Err(lost(number)) }
            }
            Operation::Touch => self.ask(cmd("SETRANGE").arg(key).arg(TIMES.0).arg(&TIMES.1[..])).await,
            Operation::Bury => match self.ask(cmd("DEL").arg(key)).await? {
                1_u64 => Ok(()),
                _ => Err(lost(number)),
            },
        }
    }
}

impl Scripts {
    pub(in crate::storage) async fn connect(url: &str) -> Result<Arc<Self>> {
        let commands = Arc::into_inner(Commands::connect(url).await?)
            .ok_or_else(|| Error::Load("Redis: the connection is in use".to_owned()))?;
        let load = async |text: &str| commands.ask::<String>(cmd("SCRIPT").arg("LOAD").arg(text)).await;
        let set = load("redis.call('SET', KEYS[1], ARGV[1]) return 1").await?;
        let set_range = load("return redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2])").await?;
        let remove = load("return redis.call('DEL', KEYS[1])").await?;
        Ok(Arc::new(Self { set, set_range, remove, commands }))
    }
}

impl Work for Scripts {
    async fn work(&self, operation: Operation, number: u64) -> Result<()> {
        let mut call = cmd("EVALSHA");
        let key = key("script", number);
        let call = match operation {
            Operation::Create | Operation::Update => call.arg(&self.set).arg(1).arg(key).arg(&value()[..]),
            Operation::Touch => call.arg(&self.set_range).arg(1).arg(key).arg(TIMES.0).arg(&TIMES.1[..]),
            Operation::Bury => call.arg(&self.remove).arg(1).arg(key),
            Operation::Read | Operation::Unchanged => {
                return Err(Error::Load("Redis: no script reads".to_owned()));
            }
        };
        match self.commands.ask(call).await? {
            0_u64 => Err(lost(number)),
            _ => Ok(()),
        }
    }
}

fn key(prefix: &str, number: u64) -> String {
    let (context, name) = place(number);
    format!("{prefix}:{{{context}}}:r:{name}")
}

fn failed(error: RedisError) -> Error {
    Error::Load(format!("Redis: {error}"))
}

fn lost(number: u64) -> Error {
    Error::Load(format!("Redis: session {number} is not there as it was written"))
}
