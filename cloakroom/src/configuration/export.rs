//! Where an application fetches the assertions of its sessions.

use ipnet::IpNet;

use super::application::Carrier;
use super::cache::Cache;
use super::form::{List, Text};
use super::handoff::Handoff;
use super::login::Login;
use super::section::Section;
use super::web::{self, Network, UrlPath};

/// What `[[application]]` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The path; none: nowhere.
    pub location: Option<String>,
    /// From where it is fetched.
    pub acl: Vec<IpNet>,
}

/// The keys, for who has no sessions.
pub(crate) const KEYS: [&str; 2] = ["export_location", "export_acl"];

impl Export {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let this_machine = ["127.0.0.1/32", "::1/128"].iter().filter_map(|network| network.parse().ok());
        Self {
            location: section.optional(
                "export_location",
                &Text(UrlPath),
                "/.cloakroom/assertion".to_owned(),
                "Shibboleth's exportLocation: at this path of its own host the application fetches the assertions of its sessions, \
                 by `?key=HANDLE&ID=ID`. Left out, nowhere.",
            ),
            acl: section.value(
                "export_acl",
                &List(Text(Network)),
                this_machine.collect(),
                "Shibboleth's exportACL: from where assertions are fetched at `export_location`. All others get 403.",
            ),
        }
    }

    /// What contradicts the rest of the application, which is at `base`.
    pub(crate) fn check(
        &self,
        section: &mut Section<'_>,
        carrier: Carrier,
        base: &str,
        login: Option<&Login>,
        handoff: &Handoff,
        cache: &Cache,
    ) {
        let Some(location) = &self.location else {
            section.without_effect(&["export_acl"]);
            if section.given("export_acl") {
                let message = "`export_acl` has no effect without `export_location`";
                section.warn("export_acl", message, "remove it, or say where assertions are fetched");
            }
            if handoff.assertion_header.is_some() {
                let message =
                    "`assertion_header` of `[application.handoff]` has no effect without `export_location`";
                section.warn("handoff", message, "say where assertions are fetched, or remove it");
            }
            return;
        };
        if carrier == Carrier::Sealed {
            let message = "`export_location` has no effect with `carrier = \"sealed\"`: such sessions have no assertions";
            section.warn("export_location", message, "remove it, or say `carrier = \"ticket\"`");
        } else if !cache.cache_assertions {
            let message =
                "`export_location` is said, and assertions are not kept: there would be nothing to fetch";
            section.wrong("export_location", message, "say `cache_assertions = true` in `[cache]`");
        }
        if !web::is_below(location, base) {
            let message = format!(
                "`export_location` is not below the application's path `{base}`: no request for it comes here"
            );
            section.wrong(
                "export_location",
                message,
                format!("say \"{}{location}\"", base.trim_end_matches('/')),
            );
        }
        if login.is_some_and(|login| [&login.login_path, &login.logout_path].contains(&location)) {
            let message = "`export_location` is a page of the login";
            section.wrong("export_location", message, "give it a path of its own");
        }
        if self.acl.is_empty() {
            let message = "`export_acl` is empty: nobody may fetch assertions";
            section.warn("export_acl", message, "name the addresses of the application");
        }
        if let Some(network) = self.acl.iter().find(|network| network.prefix_len() == 0) {
            let message = format!(
                "`export_acl` holds {network}: whoever knows a handle and the id of an assertion gets it, and may pass for its person"
            );
            section.warn("export_acl", message, "name only the addresses of the application");
        }
    }
}
