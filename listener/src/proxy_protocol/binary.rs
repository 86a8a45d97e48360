//! Version 2: a block of bytes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Who comes, by command, family and what follows the length. Extensions after the addresses are passed over.
pub(super) fn parse(command: u8, family: u8, block: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err("it is of a version other than 2, or has an unknown command"),
    };
    if family >> 4 > 3 || family & 0xf > 2 {
        return Err("it names an unknown family or transport");
    }
    match family {
        // The proxy speaks for itself, to see whether we are well: what else it says means nothing.
        _ if is_local => Ok(None),
        TCP4 => {
            let (address, ports) = split::<4>(block)?;
            Ok(Some((Ipv4Addr::from(address), ports).into()))
        }
        TCP6 => {
            let (address, ports) = split::<16>(block)?;
            Ok(Some((Ipv6Addr::from(address), ports).into()))
        }
        // A socket of the proxy's own machine, or nothing known.
        _ => Ok(None),
    }
}

/// Source address and port, of: source address, destination address, source port, destination port.
fn split<const N: usize>(block: &[u8]) -> Result<([u8; N], u16), &'static str> {
    let cut = "it is too short for its addresses";
    let (source, rest) = block.split_first_chunk::<N>().ok_or(cut)?;
    let (_, rest) = rest.split_first_chunk::<N>().ok_or(cut)?;
    let (port, rest) = rest.split_first_chunk::<2>().ok_or(cut)?;
    rest.split_first_chunk::<2>().ok_or(cut)?;
    Ok((*source, u16::from_be_bytes(*port)))
}
