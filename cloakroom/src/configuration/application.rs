//! What stands behind the gateway: where it is, how its sessions travel, and how long they last.

mod agreement;

use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::addresses::Addresses;
use super::assurance::{ASSURANCE, Assurance};
use super::cache::{Cache, TOUCH_INTERVAL};
use super::cookie::Cookie;
use super::document::Place;
use super::export::Export;
use super::form::{Choice, List, Span, Switch, Text};
use super::handoff::Handoff;
use super::limits::Limits;
use super::login::Login;
use super::names::{EntryName, Identifier};
use super::node::Gateway;
use super::rewrite::Rewrite;
use super::rule::{Rule, RulePlaces, check_rules};
use super::section::Section;
use super::storage::{Storage, check_storage};
use super::ticket_headers::TicketHeaders;
use super::upstream::Upstream;
use super::web::{Host, Network, UrlPath};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// One `[[application]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// What logs and metrics call it.
    pub id: String,
    /// Applications of one realm share sessions.
    pub realm: String,
    /// The hosts it answers to, in lower case; empty: any.
    pub hosts: Vec<String>,
    /// It has this path and what is below.
    pub path: String,
    /// Where it runs.
    pub upstream: Upstream,
    /// How its sessions travel.
    pub carrier: Carrier,
    /// Whether a sealed session that is too large for a cookie moves to the server.
    pub spill: bool,
    /// The id of the storage service that holds its sessions.
    pub storage: String,
    /// The level of assurance whose time-outs hold, if one was named.
    pub assurance: Option<Assurance>,
    /// A session that was not used for so long is over; zero: never.
    pub idle_timeout: Duration,
    /// A session is over so long after it began; zero: never.
    pub lifetime: Duration,
    /// Last-seen is written at most this often.
    pub touch_interval: Duration,
    /// A ticket that is older gets a successor; zero: only a login changes it.
    pub renew_interval: Duration,
    /// The entries with which a session comes back that storage has lost; none: it does not.
    pub recovery: Vec<String>,
    /// The application sees the host that the visitor asked for.
    pub preserve_host: bool,
    /// The application may say who is logged in.
    pub may_login: bool,
    /// What happens to a change of what another request changed meanwhile.
    pub on_conflict: OnConflict,
    /// What it says of its own address, in the visitors' terms.
    pub rewrite: Rewrite,
    /// Proxies in front whose word on the visitor's address and scheme is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// From where its sessions may be used.
    pub addresses: Addresses,
    /// How many sessions there may be.
    pub limits: Limits,
    /// Where it fetches assertions.
    pub export: Export,
    /// Headers in which tickets travel beside the cookie.
    pub ticket_headers: TicketHeaders,
    /// The cookie of the ticket. Without sessions it has no effect, nor has what follows.
    pub cookie: Cookie,
    /// How the application reads and changes the session.
    pub handoff: Handoff,
    /// A login in front of the application.
    pub login: Option<Login>,
    /// What holds on single paths.
    pub rules: Vec<Rule>,
}

/// How a session travels between the visitor and us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A cookie holds a ticket, the session stays here.
    Ticket,
    /// A cookie holds the session, sealed.
    Sealed,
    /// There is no session: plain proxying.
    None,
}

/// What happens to a change of what another request changed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The earlier change stays.
    KeepFirst,
    /// The later change stays.
    Overwrite,
    /// None of the keys of the later change is written.
    Refuse,
}

const CARRIER: Choice<Carrier> = Choice {
    words: &[("ticket", Carrier::Ticket), ("sealed", Carrier::Sealed), ("none", Carrier::None)],
    later: &["apache"],
};

const ON_CONFLICT: Choice<OnConflict> = Choice {
    words: &[
        ("keep_first", OnConflict::KeepFirst),
        ("overwrite", OnConflict::Overwrite),
        ("refuse", OnConflict::Refuse),
    ],
    later: &[],
};

/// Where an application stands in the file, for what is said about several of them together.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) id: Place,
    pub(crate) path: Place,
    pub(crate) cookie_name: Place,
    pub(crate) recovery: Place,
    /// Of its login, if it has one.
    pub(crate) user_entry: Option<Place>,
    pub(crate) rules: Vec<RulePlaces>,
}

/// What an application takes from the rest of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) storage: &'a [Storage],
    pub(crate) cache: &'a Cache,
    pub(crate) gateway: &'a Gateway,
}

impl Application {
    pub(crate) fn read(section: &mut Section<'_>, around: Around<'_>) -> (Self, Places) {
        let id =
            section.required("id", &Text(Identifier), "shop".to_owned(), "What logs and metrics call it.");
        let realm = section.following(
            "realm",
            &Text(Identifier),
            id.clone(),
            "the `id`",
            "Applications of one realm share sessions, through the same cookie.",
        );
        let hosts = section.value(
            "hosts",
            &List(Text(Host)),
            Vec::new(),
            "The hosts that it answers to, without port. Left out, it answers to any that no other application names.",
        );
        let path = section.value(
            "path",
            &Text(UrlPath),
            "/".to_owned(),
            "It has this path and everything below. Of several applications the longest path decides.",
        );
        let upstream = Upstream::read(section);
        let carrier = section.value(
            "carrier",
            &CARRIER,
            Carrier::Ticket,
            "How sessions travel. `ticket`: a cookie holds a ticket, and the session stays here; `sealed`: a cookie holds the \
             session, encrypted with `[[keys]]`, and only what was ended or changed a moment ago is kept here; `none`: there \
             are no sessions.",
        );
        let spill = section.value(
            "spill",
            &Switch,
            false,
            "With `carrier = \"sealed\"`: a session that is too large for a cookie (4096 bytes with its name) moves to the \
             server. Else the update that makes it so is refused.",
        );
        let storage = section.following(
            "storage",
            &Text(Identifier),
            around.cache.storage.clone(),
            "that of `[cache]`",
            "Where its sessions are kept. For now, that of `[cache]`.",
        );
        if section.given("storage")
            && check_storage(section, "storage", &storage, around.storage).is_some()
            && storage != around.cache.storage
        {
            let message = format!(
                "`storage = \"{storage}\"` is not that of `[cache]`, and several at once are not built yet"
            );
            section.wrong(
                "storage",
                message,
                format!("say \"{}\" for now, or remove this line", around.cache.storage),
            );
        }
        let assurance = section.optional(
            "assurance",
            &ASSURANCE,
            Assurance::Aal2,
            "The level of NIST SP 800-63B-4 whose time-outs hold. `aal1`: `lifetime` 30d, and no `idle_timeout`; `aal2`: 1d and \
             1h; `aal3`: 12h and 15m. Both can be said beside it; what the standard forbids is refused, and what it advises \
             against is a warning.",
        );
        let idle_timeout = section.value(
            "idle_timeout",
            &Span::between(SECOND, YEAR).or_zero("never"),
            assurance.map_or(MINUTE * 30, Assurance::idle_timeout),
            "A session that was not used for so long is over.",
        );
        let lifetime = section.value(
            "lifetime",
            &Span::between(SECOND, YEAR).or_zero("never"),
            assurance.map_or(HOUR * 8, Assurance::lifetime),
            "A session is over so long after it began, however much it is used.",
        );
        let touch_interval = section.following(
            "touch_interval",
            &TOUCH_INTERVAL,
            around.cache.touch_interval,
            "that of `[cache]`",
            "When a session was last used is written at most this often.",
        );
        let renew_interval = section.value(
            "renew_interval",
            &Span::between(MINUTE, HOUR * 24).or_zero("only a login changes it"),
            Duration::ZERO,
            "A ticket that is older than this is renewed with the next answer. One that turns up after its successor was used, \
             and `renew_window` has passed, may be stolen: its session ends. Of `carrier = \"ticket\"`.",
        );
        let preserve_host = section.value(
            "preserve_host",
            &Switch,
            true,
            "The application sees the host that the visitor asked for. `false`: that of `upstream`.",
        );
        let may_login = section.value(
            "may_login",
            &Switch,
            false,
            "The application may say who is logged in, through the update header: for one that registers people or changes \
             their passwords.",
        );
        let on_conflict = section.value(
            "on_conflict",
            &ON_CONFLICT,
            OnConflict::KeepFirst,
            "When the application changes a key that another request has changed since. `keep_first`: the earlier change \
             stays; `overwrite`: the later one; `refuse`: nothing of the later update is written.",
        );
        let trusted_proxies = section.following(
            "trusted_proxies",
            &List(Text(Network)),
            around.gateway.trusted_proxies.clone(),
            "those of `[gateway]`",
            "Proxies in front of the gateway whose word on the visitor's address is taken.",
        );
        let rewrite_text = "What the application says of its own address is said in the visitors' terms. The longest beginning \
                            that fits is replaced, by whole segments; everything else stays as it is.";
        let rewrite = section.table("rewrite", rewrite_text, Rewrite::read);
        let addresses = Addresses::read(section);
        let ticket_headers = TicketHeaders::read(section);
        let export = Export::read(section);
        let recovery = section.value(
            "recovery",
            &List(Text(EntryName)),
            Vec::new(),
            "Shibboleth's persistedAttributes. With `carrier = \"ticket\"`: entries that a second cookie, whose name ends in \
             `-recovery`, holds encrypted with `[[keys]]`. By it a session comes back with them when its storage has lost it, unless \
             it was ended: `storage_lite` remembers that.",
        );
        section.later(&["apache"], "the carrier `apache`");

        let (cookie, cookie_name) =
            section.table("cookie", "The cookie that holds the ticket, or the session.", |section| {
                let (cookie, name) = Cookie::read(section);
                cookie.check_exposure(section, &hosts);
                (cookie, name)
            });
        let handoff =
            section.table("handoff", "How the application reads and changes the session.", |section| {
                let handoff = Handoff::read(section);
                handoff.check_reach(section, &path);
                handoff
            });
        let limits_text = "How many sessions there may be. Left out, there are no limits.";
        let limits =
            section.table("limits", limits_text, |section| Limits::read(section, carrier, around.cache));
        let login_text = "A login form in front of the application. Left out, there is none.";
        let (login, user_entry) = section
            .optional_table("login", login_text, |section| {
                (Login::read(section, &path), section.place("user_entry"))
            })
            .unzip();
        let rule_text = "What holds on single paths of the application.";
        let rules = section.tables("rule", rule_text, |section| Rule::read(section, &path));
        check_rules(section.document(), &rules);
        let (rules, rule_places): (Vec<Rule>, Vec<RulePlaces>) = rules.into_iter().unzip();
        let places = Places {
            id: section.place("id"),
            path: section.place("path"),
            cookie_name,
            recovery: section.place("recovery"),
            user_entry,
            rules: rule_places,
        };
        let application = Self {
            id,
            realm,
            hosts,
            path,
            upstream,
            carrier,
            spill,
            storage,
            assurance,
            idle_timeout,
            lifetime,
            touch_interval,
            renew_interval,
            recovery,
            preserve_host,
            may_login,
            on_conflict,
            rewrite,
            trusted_proxies,
            addresses,
            limits,
            export,
            ticket_headers,
            cookie,
            handoff,
            login,
            rules,
        };
        application.check(section, &places, around.cache);
        application.check_recovery(section, around);
        (application, places)
    }

    /// The headers in which the gateway speaks of its sessions, and hears of them.
    pub(crate) fn own_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.handoff.headers().chain(self.ticket_headers.names())
    }
}
