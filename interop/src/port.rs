//! A port on loopback that nobody else takes meanwhile.
//!
//! Asking the kernel for any free port and closing it again is a race: between the close and the server's own
//! bind, another test or an outgoing connection may get it. So ports come from below the range that the kernel
//! hands out by itself, and each is held by a lock on a file for as long as its server lives; the kernel drops
//! the lock when the process of the test ends, however it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::{Error, Result};

/// First and last of the ports that tests use. Linux hands out 32768 and up by itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port of one's own on 127.0.0.1, until it is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Held, not read: the lock is the claim.
    _claim: File,
}

impl Port {
    /// Claims a free port.
    pub fn claim() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let directory = std::env::temp_dir().join("cloakroom-interop-ports");
        fs::create_dir_all(&directory).map_err(Error::system(format!("creating {}", directory.display())))?;
        // Processes start at different places, so that they rarely meet.
        let own = (std::process::id().wrapping_mul(37) % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + own.wrapping_add(step) % COUNT;
            let path = directory.join(number.to_string());
            let claim = File::create(&path).map_err(Error::system(format!("creating {}", path.display())))?;
            if claim.try_lock().is_err() {
                continue;
            }
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _claim: claim });
            }
        }
        Err(Error::Slow {
            what: format!("finding a free port from {FIRST} on"),
            after: std::time::Duration::ZERO,
        })
    }

    /// The number alone.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_port_is_given_twice_while_it_is_held() {
        let held: Vec<Port> = (0..50).map(|_| Port::claim().unwrap()).collect();
        let numbers: HashSet<u16> = held.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), held.len());
    }
}
