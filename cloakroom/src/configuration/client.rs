//! `[[client]]`: who may call the session server, and what. Nothing is open to anybody by default.

use std::path::PathBuf;

use ipnet::IpNet;
use server::Right;

use super::document::Place;
use super::form::{Choice, List, Text};
use super::listen::Listen;
use super::names::{FileName, Identifier, SubjectName};
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
    /// To whom the certificate is made out that proves it.
    pub tls_subject: Option<String>,
    /// What it may call.
    pub may: Vec<Right>,
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
             with all sessions in them. `sessions`: the API, to look at sessions and be told why they are over. `admin_sessions`: \
             the API, to open and to end them. `secrets`: the API, to fetch the assertions that are kept beside them.",
        );
        section.later(&["basic", "kinds", "realms", "attributes"], "the session server for LemonLDAP::NG");
        let client = Self { id, from, bearer_file, tls_subject, may };
        client.check(section, listen);
        (client, section.place("id"))
    }

    fn check(&self, section: &Section<'_>, listen: &Listen) {
        let has_proof = self.bearer_file.is_some() || self.tls_subject.is_some();
        if self.from.is_empty() && !has_proof {
            let cure = "name its networks as `from`, or what proves it as `bearer_file` or `tls_subject`";
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
            section.wrong("tls_subject", message, "say `client_ca` in `[listen.server_tls]`");
        }
        if self.bearer_file.is_some() && listen.server_tls.is_none() && !listen.server.ip().is_loopback() {
            let message = format!("the token and all sessions travel to {} in the clear", listen.server);
            let cure = "say `[listen.server_tls]`, or see to it that nobody is on the way";
            section.warn("bearer_file", message, cure);
        }
    }
}
