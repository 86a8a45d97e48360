//! What one key of an application means for another one: combinations that cannot hold, that endanger somebody, or that have no effect.

use std::net::IpAddr;
use std::time::Duration;

use super::super::addresses;
use super::super::cache::Cache;
use super::super::cookie::Cookie;
use super::super::export;
use super::super::node::warn_of_everybody;
use super::super::rule::Require;
use super::super::section::Section;
use super::super::ticket_headers;
use super::{Application, Around, Carrier, Places};

/// The keys that are about sessions.
const OF_SESSIONS: [&str; 11] = [
    "storage",
    "cookie",
    "handoff",
    "may_login",
    "on_conflict",
    "assurance",
    "idle_timeout",
    "lifetime",
    "touch_interval",
    "renew_interval",
    "recovery",
];

impl Application {
    pub(super) fn check(&self, section: &mut Section<'_>, places: &Places, cache: &Cache) {
        warn_of_everybody(
            section,
            if section.given("trusted_proxies") { &self.trusted_proxies } else { &[] },
        );
        match self.carrier {
            Carrier::Ticket | Carrier::Sealed => {
                self.cookie.check_reach(section, &places.cookie_name, &self.hosts, &self.path);
                self.check_times(section);
                self.check_renewal(section, cache.renew_window);
                self.check_carrier(section);
                self.ticket_headers.check(section, &self.handoff, &self.trusted_proxies);
                let (login, handoff) = (self.login.as_ref(), &self.handoff);
                self.export.check(section, self.carrier, &self.path, login, handoff, cache);
            }
            Carrier::None => self.check_without_sessions(section, places),
        }
    }

    fn check_carrier(&self, section: &mut Section<'_>) {
        match self.carrier {
            Carrier::Sealed => {
                // Every engine of this build.
                let message = format!(
                    "`{}` is storage of this node alone: the end of a sealed session holds on this node only, and another \
                     node with the same keys would go on with it",
                    self.storage
                );
                section.warn("carrier", message, "this is right as long as there is one node");
            }
            Carrier::Ticket | Carrier::None if self.spill => {
                let message = "`spill` has no effect without `carrier = \"sealed\"`";
                section.warn("spill", message, "remove it");
            }
            Carrier::Ticket | Carrier::None => {}
        }
    }

    /// What was ended must be remembered where a loss of the sessions is none.
    pub(super) fn check_recovery(&self, section: &Section<'_>, around: Around<'_>) {
        if self.recovery.is_empty() {
            return;
        }
        if self.carrier != Carrier::Ticket {
            let message = "`recovery` has no effect without `carrier = \"ticket\"`";
            section.warn("recovery", message, "remove it: a sealed session is in its cookie already");
            return;
        }
        let lite = around.storage.iter().find(|storage| storage.id == around.cache.storage_lite);
        if lite.is_some_and(|lite| lite.engine.is_memory()) {
            let message = format!(
                "a restart forgets who has logged out, for `{}` is memory: whoever kept the cookies of a session that was ended has \
                 it back",
                around.cache.storage_lite
            );
            let cure = "in `[cache]`, let `storage_lite` name a storage that is durable";
            section.warn("recovery", message, cure);
        }
    }

    fn check_times(&self, section: &Section<'_>) {
        if !self.idle_timeout.is_zero() && self.touch_interval >= self.idle_timeout {
            let message =
                "`touch_interval` is not shorter than `idle_timeout`: a session in use could look idle";
            section.wrong("touch_interval", message, "a tenth of `idle_timeout` is enough");
        }
        if self.idle_timeout.is_zero() && self.lifetime.is_zero() {
            let message =
                "neither `idle_timeout` nor `lifetime` is set: a session that nobody ends stays for ever";
            section.warn("lifetime", message, "set one of them");
        }
        if let Some(assurance) = self.assurance {
            assurance.check(section, self.idle_timeout, self.lifetime);
            if !self.cookie.max_age.is_zero() {
                let cure = "remove `max_age` from `[application.cookie]`";
                section.warn("assurance", assurance.kept_cookie(), cure);
            }
        }
    }

    /// A ticket is renewed often enough to be of use, and not before the one before it is out of the way.
    fn check_renewal(&self, section: &mut Section<'_>, renew_window: Duration) {
        if self.renew_interval.is_zero() {
            return;
        }
        if self.carrier == Carrier::Sealed {
            let message = "`renew_interval` has no effect with `carrier = \"sealed\"`: such a cookie is sealed anew every \
                           `touch_interval`, and the one before stays good";
            section.warn("renew_interval", message, "remove it, or say `carrier = \"ticket\"`");
        } else if renew_window.is_zero() {
            let message = "`renew_window` of `[cache]` is 0, so requests under way while a ticket is renewed would pass for theft";
            section.wrong("renew_interval", message, "say `renew_window = \"1m\"` in `[cache]`");
        } else if self.renew_interval < renew_window * 2 {
            let message = "`renew_interval` is not twice `renew_window` of `[cache]`: an answer that was on its way for as long \
                           could bring an old ticket back";
            section.wrong("renew_interval", message, "a quarter of an hour is usual");
        }
    }

    /// What has no effect is a warning; a login that protects nothing is not to be overlooked.
    fn check_without_sessions(&self, section: &mut Section<'_>, places: &Places) {
        for (rule, places) in self.rules.iter().zip(&places.rules) {
            if matches!(rule.require, Some(Require::User | Require::Session)) {
                let message = "there are no sessions with `carrier = \"none\"`, so nobody can be there";
                section.document().wrong(
                    &places.require,
                    message,
                    "say `carrier = \"ticket\"`, or remove this line",
                );
            }
            if rule.handoff.is_some() {
                let message = "`handoff` has no effect with `carrier = \"none\"`";
                section.document().warn(&places.handoff, message, "remove it, or say `carrier = \"ticket\"`");
            }
            if rule.counts_as_activity.is_some() {
                let message = "`counts_as_activity` has no effect with `carrier = \"none\"`";
                let cure = "remove it, or say `carrier = \"ticket\"`";
                section.document().warn(&places.counts_as_activity, message, cure);
            }
        }
        if self.login.is_some() {
            let message = "there are no sessions with `carrier = \"none\"`, so nobody can log in";
            section.wrong("login", message, "say `carrier = \"ticket\"`, or remove this section");
        }
        section.without_effect(&OF_SESSIONS);
        section.without_effect(&addresses::KEYS);
        section.without_effect(&ticket_headers::KEYS);
        section.without_effect(&export::KEYS);
        let others = addresses::KEYS.into_iter().chain(ticket_headers::KEYS).chain(export::KEYS);
        for key in OF_SESSIONS.into_iter().chain(others) {
            if section.given(key) {
                let message = format!("`{key}` has no effect with `carrier = \"none\"`");
                section.warn(key, message, "remove it, or say `carrier = \"ticket\"`");
            }
        }
    }
}

impl Cookie {
    /// A cookie that may travel in the clear can be read and planted on the way, except on this machine.
    pub(super) fn check_exposure(&self, section: &Section<'_>, hosts: &[String]) {
        let exposed = hosts.iter().find(|host| !is_loopback(host));
        if self.secure || (!hosts.is_empty() && exposed.is_none()) {
            return;
        }
        let place = exposed.map_or("any host".to_owned(), |host| format!("`{host}`"));
        let message =
            format!("`secure = false` for {place}: whoever is on the way can read the ticket and use it");
        section.warn("secure", message, "serve the host over TLS and remove this line");
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
