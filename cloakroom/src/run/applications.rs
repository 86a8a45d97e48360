//! Applications of the configuration, as the gateway wants to know them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use cache::Realm;
use gateway::forwarded::{Trust, Writes};
use gateway::handoff::{Format, Presentation};
use gateway::login::{Allowance, LimitSettings, Login, LoginSettings, OwnPages, Verifiers};
use gateway::pages::{Pages, TemplateFiles};
use gateway::path::{Prefix, Prefixes};
use gateway::rules::{Demand, HeaderChanges, LoginPaths, Rule, SiteSettings, Who};
use gateway::settings::{
    AddressSettings, ApplicationSettings, AuthenticationHeaders, Export, OnFull, PersonLimit, SessionLimits,
    SessionSettings, TicketHeaders, UpstreamSettings,
};
use miette::{IntoDiagnostic, WrapErr};
use seal::Keys;
use session::{AddressRule, Timeouts};

use crate::configuration::{
    self as configured, Application, Carrier, Configuration, HandoffFormat, OnAddressChange, OnConflict,
    Require, Server, Upstream,
};

/// What applications are told by who is logged in, where none of their realm says another name.
const USER_ENTRY: &str = "user";

/// The login form that an application has until now.
pub(super) type Before<'a> = &'a dyn Fn(&str) -> Option<Arc<Login>>;

pub(super) fn settings(
    configuration: &Configuration,
    keys: &Arc<Keys>,
    pages: &Arc<Pages>,
    verifiers: &Verifiers,
    before: Before<'_>,
) -> miette::Result<Vec<ApplicationSettings>> {
    let common = Common { configuration, realms: realms(configuration), keys, pages, verifiers, before };
    configuration
        .applications
        .iter()
        .map(|application| {
            one(application, &common)
                .wrap_err_with(|| format!("application `{}` cannot be served", application.id))
        })
        .collect()
}

/// What all applications have together.
struct Common<'a> {
    configuration: &'a Configuration,
    realms: Vec<Arc<Realm>>,
    keys: &'a Arc<Keys>,
    pages: &'a Arc<Pages>,
    verifiers: &'a Verifiers,
    before: Before<'a>,
}

fn one(application: &Application, common: &Common<'_>) -> miette::Result<ApplicationSettings> {
    let SiteSettings { id, hosts, path, handoff, login, rules, export: _ } = site(application)?;
    let sessions = match application.carrier {
        Carrier::None => None,
        Carrier::Ticket | Carrier::Sealed => Some(sessions(application, common, handoff, login)?),
    };
    Ok(ApplicationSettings {
        id,
        hosts,
        path,
        upstream: super::upstream::settings(&application.upstream)?,
        preserve_host: application.preserve_host,
        rewriting: application.rewrite.settings(),
        trust: Trust::new(application.trusted_proxies.iter().copied(), Writes::XForwarded),
        sessions,
        rules,
    })
}

/// An application as far as the head of a request decides. Reads no file.
pub(crate) fn site(application: &Application) -> miette::Result<SiteSettings> {
    let has_sessions = application.carrier != Carrier::None;
    let handoff = &application.handoff;
    let login = application.login.as_ref().filter(|_| has_sessions);
    Ok(SiteSettings {
        id: application.id.as_str().into(),
        hosts: application.hosts.iter().map(|host| host.as_str().into()).collect(),
        path: prefix(&application.path)?,
        export: application.export.location.as_deref().filter(|_| has_sessions).map(Into::into),
        handoff: if has_sessions {
            Prefixes::new(prefixes(&handoff.include)?, prefixes(&handoff.exclude)?)
        } else {
            Prefixes::default()
        },
        login: login
            .map(|login| {
                miette::Result::<_>::Ok(LoginPaths {
                    demanded: Prefixes::new(prefixes(&login.require)?, prefixes(&login.exempt)?),
                    own_pages: OwnPages {
                        login: login.login_path.as_str().into(),
                        logout: login.logout_path.as_str().into(),
                    },
                })
            })
            .transpose()?,
        rules: application
            .rules
            .iter()
            .map(|rule| self::rule(rule, application))
            .collect::<Result<_, _>>()?,
    })
}

fn rule(rule: &configured::Rule, application: &Application) -> miette::Result<Rule> {
    let has_sessions = application.carrier != Carrier::None;
    let somebody = |who| {
        let users = rule.require_users.iter().map(|user| user.as_str().into()).collect();
        let entries = rule.require_entries.iter();
        let entries = entries.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        gateway::rules::Require::Somebody(Demand { who, users, entries })
    };
    Ok(Rule {
        paths: prefixes(&rule.paths)?,
        exact: prefixes(&rule.exact)?,
        methods: rule.methods.clone(),
        handoff: rule.handoff.filter(|_| has_sessions),
        counts_as_activity: rule.counts_as_activity.filter(|_| has_sessions),
        require: rule.require.map(|require| match require {
            Require::Nobody => gateway::rules::Require::Nobody,
            Require::Session => somebody(Who::Session),
            Require::User => somebody(Who::User),
        }),
        response_timeout: rule.response_timeout.map(unbounded_if_zero),
        body_timeout: rule.body_timeout,
        max_body_bytes: rule.max_body_bytes.map(|bytes| (bytes > 0).then_some(bytes)),
        upstream: rule.upstream.as_ref().map(|servers| upstream(servers, application)).transpose()?,
        request_headers: changes(&rule.request_headers)?,
        response_headers: changes(&rule.response_headers)?,
    })
}

fn changes(changes: &configured::HeaderChanges) -> miette::Result<HeaderChanges> {
    let configured::HeaderChanges { set, add, remove } = changes.clone();
    HeaderChanges::new(set, add, remove)
        .map_err(|name| miette::miette!("the header `{name}` is not to be changed"))
}

/// The servers that a rule names are spoken to as those of its application.
fn upstream(servers: &[Server], application: &Application) -> miette::Result<UpstreamSettings> {
    super::upstream::settings(&Upstream { servers: servers.to_vec(), ..application.upstream.clone() })
}

const fn unbounded_if_zero(bound: Duration) -> Duration {
    if bound.is_zero() { super::upstream::FOREVER } else { bound }
}

fn sessions(
    application: &Application,
    common: &Common<'_>,
    paths: Prefixes,
    login_paths: Option<LoginPaths>,
) -> miette::Result<SessionSettings> {
    let Common { configuration, realms, keys, pages, verifiers, before } = common;
    let all = &configuration.applications;
    let handoff = &application.handoff;
    let login = application
        .login
        .as_ref()
        .zip(login_paths)
        .map(|(login, paths)| {
            let settings = login_settings(application, login, paths, verifiers);
            let login = Login::new(settings, Arc::clone(keys), Arc::clone(pages)).into_diagnostic()?;
            miette::Result::<_>::Ok(Arc::new(match before(&application.id) {
                Some(before) => login.after(&before),
                None => login,
            }))
        })
        .transpose()?;
    let realm = realms.iter().find(|realm| *realm.id == *application.realm);
    let realm = realm.ok_or_else(|| miette::miette!("realm `{}` is not known", application.realm))?;
    Ok(SessionSettings {
        judge: cache::Application {
            realm: Arc::clone(realm),
            timeouts: timeouts(application),
            touch_interval: application.touch_interval,
            renew_interval: application.renew_interval,
        },
        carrier: match application.carrier {
            Carrier::Sealed => {
                gateway::settings::Carrier::Sealed { keys: Arc::clone(keys), may_spill: application.spill }
            }
            Carrier::Ticket if !application.recovery.is_empty() => {
                gateway::settings::Carrier::RecoverableTicket {
                    keys: Arc::clone(keys),
                    names: application.recovery.iter().map(|name| name.as_str().into()).collect(),
                    danger_is_soft: configuration.cache.danger_soft_revocation,
                }
            }
            Carrier::Ticket | Carrier::None => gateway::settings::Carrier::Ticket,
        },
        cookie: application.cookie.settings(),
        addresses: AddressSettings {
            rule: AddressRule::new(
                application.addresses.consistent,
                application.addresses.check,
                application.addresses.unreliable.iter().copied(),
            ),
            on_change: match application.addresses.on_change {
                OnAddressChange::Refuse => gateway::settings::OnAddressChange::Refuse,
                OnAddressChange::End => gateway::settings::OnAddressChange::End,
            },
        },
        limits: limits(&application.limits),
        ticket_headers: TicketHeaders {
            inbound: application.ticket_headers.inbound.clone(),
            inbound_from_anyone: application.ticket_headers.danger_inbound_from_anyone,
            outbound: application.ticket_headers.outbound.clone(),
        },
        hide_from_upstream: application.cookie.hide_from_upstream,
        presentation: Presentation {
            header: handoff.request_header.clone(),
            format: match handoff.format {
                HandoffFormat::Form => Format::Form,
                HandoffFormat::Json => Format::Json,
            },
            list_separator: handoff.list_separator.as_deref().map(Into::into),
            entry_headers: handoff
                .entry_headers
                .iter()
                .map(|(header, entry)| (header.clone(), entry.as_str().into()))
                .collect(),
            reserved: user_entry(application, all).map(Into::into),
            max_header_bytes: usize::try_from(handoff.max_header_bytes).unwrap_or(usize::MAX),
        },
        update_header: handoff.update_header.clone(),
        conflict_header: handoff.conflict_header.clone(),
        authentication: AuthenticationHeaders {
            time: handoff.auth_time_header.clone(),
            level: handoff.auth_level_header.clone(),
        },
        export: export(application),
        paths,
        on_conflict: match application.on_conflict {
            OnConflict::KeepFirst => session::OnConflict::KeepFirst,
            OnConflict::Overwrite => session::OnConflict::Overwrite,
            OnConflict::Refuse => session::OnConflict::Refuse,
        },
        user_entry: user_entry(application, all).map(Into::into),
        may_login: application.may_login,
        login,
    })
}

/// Where the application fetches assertions.
fn export(application: &Application) -> Option<Export> {
    Some(Export {
        location: application.export.location.as_deref()?.into(),
        acl: application.export.acl.as_slice().into(),
        headers: application.handoff.assertion_headers.clone(),
    })
}

fn limits(limits: &configured::Limits) -> SessionLimits {
    let when_full = match limits.when_full {
        configured::OnFull::Refuse => OnFull::Refuse,
        configured::OnFull::EndOldest => OnFull::EndOldest,
        configured::OnFull::Ask => OnFull::Ask,
    };
    let count = |count: Option<u32>| NonZeroUsize::new(usize::try_from(count?).ok()?);
    SessionLimits {
        per_person: count(limits.sessions_per_person).map(|most| PersonLimit { most, when_full }),
        per_address: count(limits.sessions_per_address),
        new_per_minute: limits.new_sessions_per_minute.and_then(NonZeroU32::new),
    }
}

fn login_settings(
    application: &Application,
    login: &configured::Login,
    paths: LoginPaths,
    verifiers: &Verifiers,
) -> LoginSettings {
    LoginSettings {
        application: application.id.as_str().into(),
        realm: application.realm.as_str().into(),
        title: None,
        users: login.file.clone(),
        require: paths.demanded.include,
        exempt: paths.demanded.exclude,
        login_path: paths.own_pages.login,
        logout_path: paths.own_pages.logout,
        home: application.path.as_str().into(),
        secure: application.cookie.secure,
        limits: LimitSettings {
            per_address: a_minute(login.attempts_per_address),
            per_user: a_minute(login.attempts_per_user),
        },
        verifiers: verifiers.clone(),
        templates: TemplateFiles { login: login.template.clone(), ..TemplateFiles::default() },
    }
}

/// So many attempts at once, and as many again over a minute.
fn a_minute(attempts: u32) -> Allowance {
    let burst = NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN);
    Allowance { burst, every: Duration::from_secs(60) / burst.get() }
}

/// The name by which this application learns who is logged in, if anything in its realm logs people in. All logins of
/// a realm say the same one.
fn user_entry<'a>(application: &'a Application, all: &'a [Application]) -> Option<&'a str> {
    let own = application.login.as_ref();
    let mut realm =
        all.iter().filter(|other| other.realm == application.realm && other.carrier != Carrier::None);
    own.or_else(|| realm.clone().find_map(|other| other.login.as_ref()))
        .map(|login| login.user_entry.as_str())
        .or_else(|| realm.any(|other| other.may_login).then_some(USER_ENTRY))
}

/// Who shares sessions.
pub(crate) fn realms(configuration: &Configuration) -> Vec<Arc<Realm>> {
    let mut realms: Vec<Realm> = Vec::new();
    let with_sessions = |application: &&Application| application.carrier != Carrier::None;
    for application in configuration.applications.iter().filter(with_sessions) {
        match realms.iter_mut().find(|realm| *realm.id == *application.realm) {
            Some(realm) => {
                realm.timeouts.push(timeouts(application));
                realm.touch_interval = realm.touch_interval.max(application.touch_interval);
                realm.lateness = realm.touch_interval * 2;
            }
            None => realms.push(Realm {
                id: application.realm.as_str().into(),
                timeouts: vec![timeouts(application)],
                touch_interval: application.touch_interval,
                // Last uses are gathered: see `settings`.
                lateness: application.touch_interval * 2,
                allowance: configuration.cache.cache_allowance,
            }),
        }
    }
    realms.into_iter().map(Arc::new).collect()
}

const fn timeouts(application: &Application) -> Timeouts {
    Timeouts { idle: application.idle_timeout, lifetime: application.lifetime }
}

fn prefix(path: &str) -> miette::Result<Prefix> {
    Prefix::parse(path).into_diagnostic().wrap_err_with(|| format!("`{path}` is no path"))
}

fn prefixes(paths: &[String]) -> miette::Result<Vec<Prefix>> {
    paths.iter().map(|path| prefix(path)).collect()
}
