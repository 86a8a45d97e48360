//! From where a session is used.
//!
//! A person who has both comes now by IPv4 and now by IPv6, so a session is tied to at most one address of each. Who may
//! use it is judged by an [`AddressRule`], which is the application's; the addresses are the session's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::wire::{Reader, Writer};

/// The addresses that a session is tied to: at most one of IPv4, one of IPv6. The first of each is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Addresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    awaited: Option<IpAddr>,
}

/// What is at an address, in the form of [`Addresses::write`].
mod kind {
    pub(super) const V4: u64 = 4;
    pub(super) const V6: u64 = 6;
    pub(super) const AWAITED_V4: u64 = 20;
    pub(super) const AWAITED_V6: u64 = 22;
}

impl Addresses {
    /// The most bytes that a record gets longer when its session is tied to an address of each family.
    pub const MAX_BYTES: usize = 2 + (1 + 4) + (1 + 16);

    /// Of a session that is used from here. What is an IPv4 address written as IPv6 is IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let mut addresses = Self::default();
        addresses.tie(address);
        addresses
    }

    /// Of a session that was opened for somebody who is at this address, and has not been used yet.
    #[must_use]
    pub fn awaiting(address: IpAddr) -> Self {
        Self { awaited: Some(address.to_canonical()), ..Self::default() }
    }

    /// Whether the session is tied to none, and awaited from none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Ties the session to an address, unless it is tied to another one of that family: the first wins. From then on it is
    /// awaited from nowhere.
    pub fn tie(&mut self, address: IpAddr) {
        self.awaited = None;
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4 = self.v4.or(Some(address)),
            IpAddr::V6(address) => self.v6 = self.v6.or(Some(address)),
        }
    }

    /// Whether the session is tied to this address, or awaited from there.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.like(address) == Some(address) || self.awaited == Some(address)
    }

    /// The address that it is tied to, of the family of `address`.
    fn like(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }

    pub(crate) fn write(&self, field: &mut Writer) {
        let mut one = |v4: u64, v6: u64, address: IpAddr| match address {
            IpAddr::V4(address) => {
                field.number(v4);
                field.raw(&address.octets());
            }
            IpAddr::V6(address) => {
                field.number(v6);
                field.raw(&address.octets());
            }
        };
        let tied = [self.v4.map(IpAddr::V4), self.v6.map(IpAddr::V6)];
        tied.into_iter().flatten().for_each(|address| one(kind::V4, kind::V6, address));
        self.awaited.into_iter().for_each(|address| one(kind::AWAITED_V4, kind::AWAITED_V6, address));
    }

    /// What [`Addresses::write`] wrote. What a newer build says of addresses beyond that is passed over: this field is one
    /// that a build need not understand.
    pub(crate) fn read(field: &mut Reader<'_>) -> Result<Self, crate::wire::Damaged> {
        let (mut addresses, mut awaited) = (Self::default(), None);
        while !field.is_empty() {
            match field.number()? {
                kind::V4 => addresses.tie(IpAddr::from(field.array::<4>()?)),
                kind::V6 => addresses.tie(IpAddr::from(field.array::<16>()?)),
                kind::AWAITED_V4 => awaited = Some(IpAddr::from(field.array::<4>()?)),
                kind::AWAITED_V6 => awaited = Some(IpAddr::from(field.array::<16>()?)),
                _ => {
                    field.rest();
                }
            }
        }
        Ok(Self { awaited: awaited.map(|address| address.to_canonical()), ..addresses })
    }
}

/// Who may use a session, as far as it depends on where they are.
#[derive(Debug, Clone, Default)]
pub struct AddressRule {
    is_consistent: bool,
    is_checked: bool,
    /// Networks in which a person's address changes.
    unreliable: Box<[IpNet]>,
}

/// How an address stands to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The session may be used from there.
    Known,
    /// It may, once it is tied to that address: it is tied to none of its family yet.
    New,
    /// It is somebody else's, as far as addresses can tell.
    Other,
}

impl AddressRule {
    /// `is_consistent`: a session is used from the addresses that it was used from first. `is_checked`: one that was opened
    /// for somebody at a given address is first used from there. Two addresses that one of the networks in `unreliable` holds
    /// are as good as equal.
    #[must_use]
    pub fn new(is_consistent: bool, is_checked: bool, unreliable: impl IntoIterator<Item = IpNet>) -> Self {
        Self { is_consistent, is_checked, unreliable: unreliable.into_iter().map(canonical).collect() }
    }

    /// Whether sessions are tied to the addresses that they are used from.
    #[must_use]
    pub const fn is_consistent(&self) -> bool {
        self.is_consistent
    }

    /// Whether a session with these addresses may be used from `address`. Allocates nothing.
    #[must_use]
    pub fn judge(&self, addresses: &Addresses, address: IpAddr) -> Origin {
        let address = address.to_canonical();
        let awaited = addresses.awaited.filter(|_| self.is_checked);
        if awaited.is_some_and(|awaited| !self.are_one(awaited, address)) {
            return Origin::Other;
        }
        let is_tied = match addresses.like(address) {
            _ if !self.is_consistent => true,
            Some(known) if !self.are_one(known, address) => return Origin::Other,
            known => known.is_some(),
        };
        if is_tied && awaited.is_none() { Origin::Known } else { Origin::New }
    }

    fn are_one(&self, one: IpAddr, other: IpAddr) -> bool {
        one == other
            || self.unreliable.iter().any(|network| network.contains(&one) && network.contains(&other))
    }
}

/// A network of IPv4 addresses that are written as IPv6 is one of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    mapped
        .network()
        .to_ipv4_mapped()
        .zip(mapped.prefix_len().checked_sub(96))
        .and_then(|(address, bits)| Ipv4Net::new(address, bits).ok())
        .map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests;
