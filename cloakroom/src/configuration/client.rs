//! `[[client]]`: who may call the session server, and what. Nothing is open to anybody by default.

use std::path::PathBuf;

use ipnet::IpNet;
use server::{Attributes, Names, Right};

use super::document::Place;
use super::form::{Choice, List, Text};
use super::listen::Listen;
use super::names::{AttributeList, FileName, Identifier, NameOrAll, PasswordName, SubjectName};
use super::section::Section;
use super::web::Network;

/// One `[[client]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// What logs call it.
    pub id: String,
    /// Networks from one of which it comes; empty: from anywhere.
    pub from: Vec<IpNet>,
    /// The file with the token that proves it. Absolute.
    pub bearer_file: Option<PathBuf>,
    /// A name and a password that prove it.
    pub basic: Option<Basic>,
    /// To whom the certificate is made out that proves it.
    pub tls_subject: Option<String>,
    /// What it may call.
    pub may: Vec<Right>,
    /// Kinds of LemonLDAP::NG's sessions that exist for it.
    pub kinds: Names,
    /// Realms whose sessions exist for it.
    pub realms: Names,
    /// Entries of sessions that it sees.
    pub attributes: Attributes,
}

/// `basic` of a `[[client]]`: what it says in `Authorization: Basic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basic {
    /// The name.
    pub user: String,
    /// The file with the password. Absolute.
    pub password_file: PathBuf,
}

const RIGHT: Choice<Right> = Choice {
    words: &[
        ("storage", Right::Storage),
        ("sessions", Right::Sessions),
        ("admin_sessions", Right::AdminSessions),
        ("secrets", Right::Secrets),
    ],
    later: &[],
};

impl Client {
    /// Reads the section; the place is that of the id.
    pub(crate) fn read(section: &mut Section<'_>, listen: &Listen) -> (Self, Place) {
        let id = section.required("id", &Text(Identifier), "gateway-2".to_owned(), "What logs call it.");
        let from = section.value(
            "from",
            &List(Text(Network)),
            Vec::new(),
            "Networks from one of which it comes. Left out: from anywhere, and then it needs a proof.",
        );
        let bearer_file = section.optional(
            "bearer_file",
            &Text(FileName),
            PathBuf::from("gateway-2.token"),
            "A file with the token that proves it, `Authorization: Bearer`: at least 32 characters, random. Relative to the \
             folder of this file.",
        );
        let bearer_file = bearer_file.map(|file| {
            section.existing(
                "bearer_file",
                &file,
                "`cloakroom keys new` makes a file whose line serves as a token",
            )
        });
        let basic_text = "A name and a password that prove it as well, `Authorization: Basic`: for clients that know no tokens, as \
                          LemonLDAP::NG. After ten wrong ones from an address, one is looked at each six seconds.";
        let basic = section.optional_table("basic", basic_text, Basic::read);
        let tls_subject = section.optional(
            "tls_subject",
            &Text(SubjectName),
            "CN=gateway-2".to_owned(),
            "To whom the certificate is made out that proves it as well, as RFC 4514 writes it. Needs `client_ca` in \
             `[listen.server_tls]`.",
        );
        let may = section.required(
            "may",
            &List(RIGHT),
            vec![Right::Storage],
            "What it may call. `storage`: the storages of this Cloakroom, as the engine `remote` of another one uses them; \
             with all sessions in them. `sessions`: the API, to look at sessions and be told why they are over, and LemonLDAP::NG's \
             `/sessions`. `admin_sessions`: the API, to open, change and end them, and LemonLDAP::NG's `/adminSessions`. `secrets`: \
             the API, to fetch the assertions that are kept beside them, and LemonLDAP::NG's hidden attributes.",
        );
        let all = || vec!["*".to_owned()];
        let kinds = section.value(
            "kinds",
            &List(Text(NameOrAll)),
            all(),
            "Kinds of LemonLDAP::NG's sessions that exist for it, such as `SSO` and `Persistent`; `*` for all.",
        );
        let realms = section.value(
            "realms",
            &List(Text(NameOrAll)),
            all(),
            "Realms whose sessions exist for it; `*` for all. One that has only some ends sessions by their handles or by realm.",
        );
        let attributes = section.optional(
            "attributes",
            &Text(AttributeList),
            Attributes::Only(Box::new(["uid".into(), "mail".into()])),
            "Entries of sessions that it sees: names with spaces between them, `*` for all; with a `+` before them, these beside \
             what is usual. Left out: what is usual, which is everything over our own API, and what is exported over those of \
             LemonLDAP::NG.",
        );
        let attributes = attributes.unwrap_or(Attributes::Usual);
        let (kinds, realms) = (named(kinds), named(realms));
        let client = Self { id, from, bearer_file, basic, tls_subject, may, kinds, realms, attributes };
        client.check(section, listen);
        (client, section.place("id"))
    }

    fn check(&self, section: &Section<'_>, listen: &Listen) {
        let has_proof = self.bearer_file.is_some() || self.basic.is_some() || self.tls_subject.is_some();
        if self.from.is_empty() && !has_proof {
            let cure =
                "name its networks as `from`, or what proves it as `bearer_file`, `basic` or `tls_subject`";
            section.wrong("id", format!("`{}` could be anybody", self.id), cure);
        } else if !has_proof && self.may.contains(&Right::Storage) {
            let message = "whoever comes from there can read, make and end every session, without any proof";
            section.warn("from", message, "add a `bearer_file`");
        } else if !has_proof && self.may.contains(&Right::AdminSessions) {
            let message = "whoever comes from there can open and end sessions of anybody, without any proof";
            section.warn("from", message, "add a `bearer_file`");
        } else if !has_proof && self.may.contains(&Right::Secrets) {
            let message =
                "whoever comes from there can fetch assertions, with which they may pass for somebody else";
            section.warn("from", message, "add a `bearer_file`");
        }
        let believes = listen.server_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if self.tls_subject.is_some() && !believes {
            let message = "`tls_subject` proves nothing: the session server asks nobody for a certificate";
            let cure = "say `client_ca` in `[listen.server_tls]`";
            // With a token or a password the client is known all the same.
            match self.bearer_file.is_some() || self.basic.is_some() {
                true => section.warn("tls_subject", message, cure),
                false => section.wrong("tls_subject", message, cure),
            }
        }
        let secret =
            if self.bearer_file.is_some() { ("bearer_file", "token") } else { ("basic", "password") };
        let has_secret = self.bearer_file.is_some() || self.basic.is_some();
        if has_secret && listen.server_tls.is_none() && !listen.server.ip().is_loopback() {
            let (key, what) = secret;
            let message = format!("the {what} and all sessions travel to {} in the clear", listen.server);
            let cure = "say `[listen.server_tls]`, or see to it that nobody is on the way";
            section.warn(key, message, cure);
        }
        let is_narrow = self.realms != Names::All || matches!(self.attributes, Attributes::Only(_));
        if is_narrow && self.may.contains(&Right::Storage) {
            let message = "`storage` is everything in the storages, whatever `realms` and `attributes` say";
            section.warn("may", message, "leave `storage` out, or give it to another `[[client]]`");
        }
    }
}

impl Basic {
    fn read(section: &mut Section<'_>) -> Self {
        let user = section.required("user", &Text(PasswordName), "portal".to_owned(), "The name.");
        let password_file = section.required(
            "password_file",
            &Text(FileName),
            PathBuf::from("portal.password"),
            "A file with the password: one line of at least 8 characters. Relative to the folder of this file.",
        );
        let cure = "write the password into it, in one line, and let nobody else read it";
        let password_file = section.existing("password_file", &password_file, cure);
        Self { user, password_file }
    }
}

fn named(names: Vec<String>) -> Names {
    if names.iter().any(|name| name == "*") {
        Names::All
    } else {
        Names::Only(names.into_iter().map(Into::into).collect())
    }
}
