//! What is right for each part and wrong for several together: ids that are used twice, routes that cover each
//! other, cookies that would overwrite each other.

use std::collections::HashMap;

use gateway::hygiene::Presented;
use http::HeaderName;
use seal::KeyState;

use super::application::{Application, Carrier, Places};
use super::cache::Cache;
use super::client::Client;
use super::document::{Document, Place};
use super::key_file::KeyFile;
use super::listen::ListenTls;
use super::rule::Require;
use super::storage::{Storage, StoragePlaces};

/// Ids are unique among their kind.
pub(crate) fn check_ids<'a>(
    document: &Document<'_>,
    kind: &str,
    ids: impl Iterator<Item = (&'a str, &'a Place)>,
) {
    let mut seen = HashMap::new();
    for (id, place) in ids {
        match seen.get(id) {
            Some(line) => {
                let message = format!("the id `{id}` was given to another `[[{kind}]]`, in line {line}");
                document.wrong(place, message, "give each an id of its own");
            }
            None => {
                seen.insert(id, document.line(place));
            }
        }
    }
}

pub(crate) fn check_storage(document: &Document<'_>, storage: &[(Storage, StoragePlaces)]) {
    check_ids(document, "storage", storage.iter().map(|(storage, places)| (storage.id.as_str(), &places.id)));
}

/// Sessions move from one storage to another, and only to the one that is used.
pub(crate) fn check_migrations(document: &Document<'_>, storage: &[(Storage, StoragePlaces)], cache: &Cache) {
    for (new, places) in storage {
        let Some(old) = &new.migrate_from else { continue };
        let (id, place) = (&new.id, &places.migrate_from);
        let Some((from, _)) = storage.iter().find(|(storage, _)| storage.id == *old) else {
            let message = format!("`migrate_from = \"{old}\"` names no `[[storage]]`");
            document.wrong(
                place,
                message,
                "name the one in which the sessions are now, and keep its section",
            );
            continue;
        };
        if from.id == *id {
            let message = format!("`{id}` cannot move to itself");
            document.wrong(place, message, "name the storage in which the sessions are now");
        } else if let Some(further) = &from.migrate_from {
            let message = format!("`{id}` moves from `{old}`, which itself moves from `{further}`");
            let cure = format!(
                "wait until everything of `{further}` is in `{old}`, and remove that `migrate_from` first"
            );
            document.wrong(place, message, cure);
        } else if cache.storage == *old {
            let message = format!("`{id}` moves from `{old}`, and `{old}` is the storage that is used");
            document.wrong(place, message, format!("in `[cache]`, say `storage = \"{id}\"`"));
        } else if cache.storage_lite == *id && cache.storage != *id {
            // Said where it is named.
        } else if cache.storage != *id {
            let message = format!("`migrate_from` has no effect: `{id}` is not used");
            let cure = format!("in `[cache]`, say `storage = \"{id}\"`, or remove this line");
            document.warn(place, message, cure);
        }
    }
}

pub(crate) fn check_clients(document: &Document<'_>, clients: &[(Client, Place)]) {
    check_ids(document, "client", clients.iter().map(|(client, place)| (client.id.as_str(), place)));
}

pub(crate) fn check_keys(document: &Document<'_>, keys: &[(KeyFile, Place, Place)]) {
    check_ids(document, "keys", keys.iter().map(|(key, place, _)| (key.id.as_str(), place)));
    if keys.iter().all(|(key, ..)| key.state != KeyState::Active)
        && let Some((_, _, place)) = keys.first()
    {
        let message = "no key is active, so nothing can be sealed";
        document.wrong(place, message, "say `state = \"active\"` for one of them");
    }
}

pub(crate) fn check_applications(document: &Document<'_>, applications: &[(Application, Places)]) {
    check_ids(
        document,
        "application",
        applications.iter().map(|(application, places)| (application.id.as_str(), &places.id)),
    );
    check_routes(document, applications);
    check_user_entries(document, applications);
    check_rules(document, applications);
    for (index, (later, places)) in applications.iter().enumerate() {
        let earlier = applications.iter().take(index).filter(|(earlier, _)| earlier.carrier != Carrier::None);
        if later.carrier == Carrier::None {
            continue;
        }
        for (earlier, _) in earlier {
            if earlier.realm != later.realm {
                check_cookies(document, earlier, (later, places));
            } else if earlier.carrier != later.carrier {
                let message = format!(
                    "`{}` and `{}` are of the realm `{}`, and their sessions travel differently: neither could read the \
                     other's",
                    earlier.id, later.id, later.realm
                );
                document.wrong(
                    &places.id,
                    message,
                    "give both the same `carrier`, or take one out of the realm",
                );
                break;
            } else if earlier.cookie != later.cookie {
                let message = format!(
                    "`{}` and `{}` are of the realm `{}`, and their cookies differ",
                    earlier.id, later.id, later.realm
                );
                let cure = "give both the same `[application.cookie]`, or take one out of the realm";
                document.wrong(&places.cookie_name, message, cure);
                // One difference to the first of the realm says it all.
                break;
            } else if earlier.recovery != later.recovery {
                let message = format!(
                    "`{}` and `{}` are of the realm `{}`, and their sessions would come back with different entries",
                    earlier.id, later.id, later.realm
                );
                let cure = "give both the same `recovery`, or take one out of the realm";
                document.wrong(&places.recovery, message, cure);
                break;
            }
        }
    }
}

/// A host and a path lead to one application.
fn check_routes(document: &Document<'_>, applications: &[(Application, Places)]) {
    let any = String::new();
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for (application, places) in applications {
        let hosts = if application.hosts.is_empty() {
            std::slice::from_ref(&any)
        } else {
            application.hosts.as_slice()
        };
        for host in hosts {
            let path = application.path.as_str();
            match seen.get(&(host.as_str(), path)) {
                Some(other) if *other == application.id => {
                    let message = format!("`hosts` names `{host}` twice");
                    document.wrong(&places.path, message, "remove one");
                }
                Some(other) => {
                    let shown = if host.is_empty() { "any host" } else { host };
                    let message = format!(
                        "`{path}` on {shown} belongs to `{other}` already, and `{}` wants it too",
                        application.id
                    );
                    document.wrong(&places.path, message, "give them different `hosts` or `path`");
                }
                None => {
                    seen.insert((host, path), &application.id);
                }
            }
        }
    }
}

/// A realm has one name for who is logged in: under another one, an application of it could write what passes for it.
fn check_user_entries(document: &Document<'_>, applications: &[(Application, Places)]) {
    let mut seen: HashMap<&str, (&str, &str)> = HashMap::new();
    for (application, places) in applications {
        let (Some(login), Some(place)) = (&application.login, &places.user_entry) else { continue };
        let (first, entry) =
            *seen.entry(&application.realm).or_insert((&application.id, login.user_entry.as_str()));
        if entry != login.user_entry {
            let message = format!(
                "`{first}` and `{}` are of the realm `{}`, and their logins name who is logged in differently: `{entry}` \
                 and `{}`",
                application.id, application.realm, login.user_entry
            );
            let cure = "give both the same `user_entry`, or take one out of the realm";
            document.wrong(place, message, cure);
        }
    }
}

/// What tells who a client is must not be what something else is told in, nor what a rule says. Cookies that come over
/// TLS stay there.
pub(crate) fn check_client_headers(
    document: &Document<'_>,
    tls: Option<(&ListenTls, &Place)>,
    applications: &[(Application, Places)],
) {
    let Some((tls, place)) = tls else { return };
    for header in tls.client_subject_header.iter().chain(&tls.client_fingerprint_header) {
        let folded = |name: &HeaderName| name.as_str().replace('_', "-");
        let is_same = |other: &HeaderName| folded(other) == folded(header);
        for (application, _) in
            applications.iter().filter(|(application, _)| application.carrier != Carrier::None)
        {
            if application.own_headers().any(is_same) {
                let message = format!("`{header}` tells `{}` about its sessions already", application.id);
                document.wrong(place, message, "tell it about certificates of clients in another header");
            }
        }
    }
    let told_in = Presented::new(tls.client_subject_header.iter().chain(&tls.client_fingerprint_header));
    for (application, places) in applications {
        for (rule, places) in application.rules.iter().zip(&places.rules) {
            if let Some(name) = rule.request_headers.names().find(|name| told_in.covers(name)) {
                let message =
                    format!("`request_headers` changes `{name}`, in which the gateway tells who a client is");
                let cure = "take another header: applications believe this one";
                document.wrong(&places.request_headers, message, cure);
            }
        }
        if application.carrier != Carrier::None && !application.cookie.secure {
            let message = format!(
                "the cookie of `{}` is also sent without TLS, and visitors come by TLS only",
                application.id
            );
            document.warn(&places.cookie_name, message, "remove `secure = false`");
        }
    }
}

/// Rules demand nobody who cannot come, and say nothing in our name.
fn check_rules(document: &Document<'_>, applications: &[(Application, Places)]) {
    let ours = Presented::new(
        applications
            .iter()
            .filter(|(application, _)| application.carrier != Carrier::None)
            .flat_map(|(application, _)| application.own_headers()),
    );
    for (application, places) in applications {
        let somebody_comes = applications
            .iter()
            .any(|(other, _)| other.realm == application.realm && (other.login.is_some() || other.may_login));
        let is_user = |name: &str| {
            let logins = applications.iter().filter(|(other, _)| other.realm == application.realm);
            logins.filter_map(|(other, _)| other.login.as_ref()).any(|login| login.user_entry == name)
        };
        for (rule, places) in application.rules.iter().zip(&places.rules) {
            if rule.require == Some(Require::User) && !somebody_comes && application.carrier != Carrier::None
            {
                let message = format!(
                    "nobody can be logged in: nothing in the realm `{}` logs anybody in",
                    application.realm
                );
                let cure =
                    "add `[application.login]`, or `may_login = true` where an application does it itself";
                document.wrong(&places.require, message, cure);
            }
            if let Some((name, _)) = rule.require_entries.iter().find(|(name, _)| is_user(name)) {
                let message = format!("`{name}` is who is logged in, and no entry");
                document.wrong(
                    &places.require,
                    message,
                    "say `require_users` in the place of `require_entries`",
                );
            }
            let changes = [
                (&rule.request_headers, &places.request_headers, "request_headers"),
                (&rule.response_headers, &places.response_headers, "response_headers"),
            ];
            for (changes, place, key) in changes {
                if let Some(name) = changes.names().find(|name| ours.covers(name)) {
                    let message =
                        format!("`{key}` changes `{name}`, in which the gateway speaks of sessions");
                    document.wrong(place, message, "take another header: applications believe this one");
                }
            }
        }
    }
}

/// Two realms on one host need two cookies.
fn check_cookies(document: &Document<'_>, first: &Application, (second, places): (&Application, &Places)) {
    if !first.cookie.meets(&first.hosts, &second.cookie, &second.hosts) {
        return;
    }
    let message = format!(
        "`{}` and `{}` do not share sessions, and both would use the cookie `{}` on the same host: each would log the other's \
         visitors out",
        first.id, second.id, second.cookie.name,
    );
    let cure = format!(
        "give one another `name` in `[application.cookie]`, or both one realm: `realm = \"{}\"`",
        first.realm
    );
    document.wrong(&places.cookie_name, message, cure);
}
