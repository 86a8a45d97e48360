//! From which addresses sessions may be used.

use ipnet::IpNet;

use super::form::{Choice, List, Switch, Text};
use super::section::Section;
use super::web::Network;

/// What `[[application]]` says of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// A session that is opened for somebody at a given address is first used from there.
    pub check: bool,
    /// A session is used from the addresses that it was used from first.
    pub consistent: bool,
    /// What happens to a request from another one.
    pub on_change: OnAddressChange,
    /// Networks in which a person's address changes.
    pub unreliable: Vec<IpNet>,
}

/// What happens to a request with a session that is tied to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAddressChange {
    /// It is refused; the session lives.
    Refuse,
    /// The session ends.
    End,
}

const ON_ADDRESS_CHANGE: Choice<OnAddressChange> =
    Choice { words: &[("refuse", OnAddressChange::Refuse), ("end", OnAddressChange::End)], later: &[] };

/// The keys, for who has no sessions.
pub(crate) const KEYS: [&str; 4] =
    ["check_address", "consistent_address", "on_address_change", "unreliable_networks"];

impl Addresses {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let addresses = Self {
            check: section.value(
                "check_address",
                &Switch,
                true,
                "A session that was opened for somebody whose address was given with it must be used from that address \
                 first. Until then every other one is refused.",
            ),
            consistent: section.value(
                "consistent_address",
                &Switch,
                false,
                "A session is used from the address that it was used from first; of IPv4 and of IPv6 each has its own. Keeps \
                 a stolen ticket from being used elsewhere, and whoever changes their network from theirs.",
            ),
            on_change: section.value(
                "on_address_change",
                &ON_ADDRESS_CHANGE,
                OnAddressChange::Refuse,
                "A request with a session from another address than it is tied to. `refuse`: the request is refused with 403, \
                 and the session goes on where it is; `end`: the session ends, so that a thief can log its owner out.",
            ),
            unreliable: section.value(
                "unreliable_networks",
                &List(Text(Network)),
                Vec::new(),
                "Networks in which the address of one person changes. Two addresses that the same of these networks holds are \
                 as good as equal.",
            ),
        };
        addresses.check(section);
        addresses
    }

    fn check(&self, section: &Section<'_>) {
        if let Some(network) = self.unreliable.iter().find(|network| network.prefix_len() == 0) {
            let message = format!(
                "`unreliable_networks` holds {network}: every address of its family is as good as any other"
            );
            section.warn("unreliable_networks", message, "name only the networks in which addresses change");
        }
        if !self.consistent && !self.check {
            for key in ["on_address_change", "unreliable_networks"] {
                if section.given(key) {
                    let message = format!("`{key}` has no effect where no address is looked at");
                    section.warn(key, message, "say `consistent_address = true`, or remove this line");
                }
            }
        }
    }
}
