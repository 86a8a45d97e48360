//! Asking Sentinels who the primary is, and the nodes of a Cluster who has which slots.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Value, from_redis_value, pipe};

use super::dial::{Dial, ask, before_anything, unheard};
use super::fault::{Fault, Kind};
use super::keys::SLOTS;
use super::url::{self, Address};

/// A slot that nobody has.
const NOBODY: u16 = u16::MAX;

/// Who has what, as one of them says. What has the higher epoch is later.
#[derive(Debug)]
pub(super) enum Found {
    /// A Sentinel says who the primary is, and how many replicas it should have.
    Primary { epoch: u64, address: Address, replicas: usize },
    /// A node says who has which slots, and how many replicas each has.
    Slots { epoch: u64, primaries: Vec<(Address, usize)>, slots: Vec<u16> },
}

impl Found {
    pub(super) const fn epoch(&self) -> u64 {
        match self {
            Self::Primary { epoch, .. } | Self::Slots { epoch, .. } => *epoch,
        }
    }
}

impl Fault {
    pub(super) fn unfound(given: &url::Servers, after: Duration) -> Self {
        let what = format!("nobody could say within {} ms who is to be asked", after.as_millis());
        Self::new(&first(given), Kind::Unreachable(storage::Blame::Network), what)
            .with_cure("see whether they run and whether the network lets us through")
    }

    pub(super) fn unserved(given: &url::Servers, slot: u16) -> Self {
        Self::new(&first(given), Kind::Passing, format!("no primary of the Cluster has slot {slot}"))
            .with_cure("see `redis-cli --cluster check`")
    }
}

fn first(given: &url::Servers) -> String {
    match given {
        url::Servers::One(address) => address.to_string(),
        url::Servers::Sentinel { sentinels, primary } => {
            format!(
                "{primary} by {}",
                sentinels.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            )
        }
        url::Servers::Cluster { nodes } => {
            nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        }
    }
}

/// What the Sentinel there calls that primary.
pub(super) async fn primary(
    dial: &Dial,
    sentinel: &Address,
    name: &str,
    patience: Duration,
) -> Result<Found, Fault> {
    let mut connection = dial.connect(sentinel, unheard(), patience).await?;
    let mut question = pipe();
    // The second knows of a successor while the first still names the one that died, under the epoch of the successor.
    question.cmd("SENTINEL").arg("MASTER").arg(name).cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answers = ask(&mut connection, &question, sentinel, patience).await.map_err(before_anything)?;
    let mut answers = answers.into_iter();
    let said: HashMap<String, String> = match answers.next() {
        Some(Value::ServerError(error))
            if error.details().is_some_and(|text| text.contains("No such master")) =>
        {
            let what = format!("this Sentinel knows no primary that is called {name:?}");
            let fault = Fault::new(sentinel, Kind::Lasting, what);
            return Err(fault.with_cure("see `sentinel monitor` in its configuration, and the end of `url`"));
        }
        Some(Value::ServerError(error))
            if error.details().is_some_and(|text| text.contains("unknown command")) =>
        {
            let fault = Fault::new(sentinel, Kind::Lasting, "it is no Sentinel");
            return Err(
                fault.with_cure("say `redis://` in `url`, or name the port of the Sentinels, usually 26379")
            );
        }
        Some(Value::ServerError(error)) => return Err(Fault::of(sentinel, &error.into())),
        answer => answer.and_then(|answer| from_redis_value(answer).ok()).unwrap_or_default(),
    };
    let number = |name: &str| said.get(name).and_then(|text| text.parse::<u64>().ok());
    let place = answers.next().and_then(|answer| from_redis_value::<(String, u16)>(answer).ok());
    let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
        return Err(Fault::nonsense(sentinel, "a Sentinel did not say where the primary is"));
    };
    Ok(Found::Primary {
        epoch: number("config-epoch").unwrap_or_default(),
        address: Address::Tcp(host, port),
        replicas: number("num-slaves").and_then(|count| usize::try_from(count).ok()).unwrap_or_default(),
    })
}

/// Who has which slots, as the node there says.
pub(super) async fn slots(dial: &Dial, node: &Address, patience: Duration) -> Result<Found, Fault> {
    let mut connection = dial.connect(node, unheard(), patience).await?;
    let mut questions = pipe();
    questions.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
    let answers = ask(&mut connection, &questions, node, patience).await.map_err(before_anything)?;
    let mut answers = answers.into_iter();
    let (info, ranges) = match (answers.next(), answers.next()) {
        (Some(Value::ServerError(error)), _)
            if error.details().is_some_and(|text| text.contains("cluster support disabled")) =>
        {
            let fault = Fault::new(node, Kind::Lasting, "it is no node of a Cluster");
            return Err(
                fault.with_cure("say `redis://` in `url`, or see `cluster-enabled` in its configuration")
            );
        }
        (Some(Value::ServerError(error)), _) | (_, Some(Value::ServerError(error))) => {
            return Err(Fault::of(node, &error.into()));
        }
        (Some(info), Some(Value::Array(ranges))) => {
            (from_redis_value::<String>(info).unwrap_or_default(), ranges)
        }
        _ => return Err(Fault::nonsense(node, "CLUSTER SLOTS was not answered with a list")),
    };
    let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    let epoch = epoch.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    let mut primaries: Vec<(Address, usize)> = Vec::new();
    let mut slots = vec![NOBODY; usize::from(SLOTS)];
    for range in ranges {
        let Value::Array(range) = range else { continue };
        let (Some(Value::Int(from)), Some(Value::Int(to)), Some(primary)) =
            (range.first(), range.get(1), range.get(2))
        else {
            continue;
        };
        let Some(address) = place(primary, node) else { continue };
        let replicas = range.len() - 3;
        let number = primaries.iter().position(|(known, _)| *known == address).unwrap_or_else(|| {
            primaries.push((address, 0));
            primaries.len() - 1
        });
        if let Some((_, most)) = primaries.get_mut(number) {
            *most = replicas.max(*most);
        }
        let (Ok(from), Ok(to), Ok(number)) =
            (usize::try_from(*from), usize::try_from(*to), u16::try_from(number))
        else {
            continue;
        };
        if let Some(range) = slots.get_mut(from..=to.max(from)) {
            range.fill(number);
        }
    }
    if primaries.is_empty() {
        let fault = Fault::new(node, Kind::Passing, "it knows nobody who has slots");
        return Err(fault.with_cure("make the Cluster with `redis-cli --cluster create`"));
    }
    Ok(Found::Slots { epoch, primaries, slots })
}

/// Where a node is, as another one says: a host, which is the other's if it does not know it, and a port.
fn place(said: &Value, by: &Address) -> Option<Address> {
    let Value::Array(said) = said else { return None };
    let host = match said.first()? {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::SimpleString(host) => host.clone(),
        _ => String::new(),
    };
    let Value::Int(port) = said.get(1)? else { return None };
    at(&host, u16::try_from(*port).ok()?, by)
}

/// Where a redirection leads: `HOST:PORT`.
pub(super) fn elsewhere(to: &str, by: &Address) -> Option<Address> {
    let (host, port) = to.rsplit_once(':')?;
    at(host, port.parse().ok()?, by)
}

fn at(host: &str, port: u16, by: &Address) -> Option<Address> {
    let host = match (host, by) {
        ("" | "?", Address::Tcp(host, _)) => host,
        ("" | "?", Address::Unix(_)) => return None,
        (host, _) => host,
    };
    Some(Address::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_know_its_host_is_where_the_one_is_that_says_so() {
        let by = Address::Tcp("10.0.0.1".to_owned(), 7000);
        let tcp = |host: &str, port| Some(Address::Tcp(host.to_owned(), port));
        assert_eq!(elsewhere("10.0.0.2:7001", &by), tcp("10.0.0.2", 7001));
        assert_eq!(elsewhere(":7001", &by), tcp("10.0.0.1", 7001));
        assert_eq!(elsewhere("fe80::1:7001", &by), tcp("fe80::1", 7001));
        assert_eq!(elsewhere("nonsense", &by), None);
        let said = Value::Array(vec![Value::Nil, Value::Int(7002)]);
        assert_eq!(place(&said, &by), tcp("10.0.0.1", 7002));
    }
}
