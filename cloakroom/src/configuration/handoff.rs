//! How an application reads and changes the session: headers of requests and responses.

use gateway::settings::ExportHeaders;
use http::HeaderName;

use super::form::{Choice, List, Pairs, Size, Text};
use super::names::{EntryName, Separator};
use super::section::Section;
use super::web::{self, Header, UrlPath};

/// `[application.handoff]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// Presents the session to the application.
    pub request_header: HeaderName,
    /// With it the application changes the session.
    pub update_header: HeaderName,
    /// Tells the application which of its changes were not made.
    pub conflict_header: HeaderName,
    /// Tells when who is logged in proved it.
    pub auth_time_header: Option<HeaderName>,
    /// Tells how they did.
    pub auth_level_header: Option<HeaderName>,
    /// What the names of the headers begin with that tell where assertions are.
    pub assertion_header: Option<HeaderName>,
    /// These headers.
    pub assertion_headers: Option<ExportHeaders>,
    /// How entries are written in these headers.
    pub format: HandoffFormat,
    /// Joins the values of a list; nothing: the key is repeated.
    pub list_separator: Option<String>,
    /// Single entries in headers of their own: header, entry.
    pub entry_headers: Vec<(HeaderName, String)>,
    /// Paths on which the session is presented.
    pub include: Vec<String>,
    /// Paths below these on which it is not.
    pub exclude: Vec<String>,
    /// Longest header that is made, in bytes.
    pub max_header_bytes: u64,
}

/// How entries are written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandoffFormat {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A JSON object.
    Json,
}

const FORMAT: Choice<HandoffFormat> =
    Choice { words: &[("form", HandoffFormat::Form), ("json", HandoffFormat::Json)], later: &[] };

impl Handoff {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let assertion_header = section.optional(
            "assertion_header",
            &Text(Header),
            HeaderName::from_static("shib-assertion"),
            "In headers of a request whose names begin so the application learns where it fetches the assertions of the session: \
             how many there are in `-Count`, and the address of each in `-01` and so on. Needs `export_location`.",
        );
        let root = || vec!["/".to_owned()];
        let handoff = Self {
            request_header: section.value(
                "request_header",
                &Text(Header),
                HeaderName::from_static("x-session"),
                "In this header of a request the application finds the session. Whatever a visitor sends under this name is \
                 removed.",
            ),
            update_header: section.value(
                "update_header",
                &Text(Header),
                HeaderName::from_static("x-replace-session"),
                "With this header of a response the application changes the session: pairs to set; an empty value removes \
                 the key. It never reaches the visitor.",
            ),
            conflict_header: section.value(
                "conflict_header",
                &Text(Header),
                HeaderName::from_static("x-session-conflict"),
                "In this header of the next request the application learns which keys it did not change, because another \
                 request had changed them meanwhile.",
            ),
            auth_time_header: section.optional(
                "auth_time_header",
                &Text(Header),
                HeaderName::from_static("x-session-auth-time"),
                "In this header of a request the application learns when who is logged in proved who they are, in seconds since \
                 1970 (OIDC `auth_time`). No update changes it.",
            ),
            auth_level_header: section.optional(
                "auth_level_header",
                &Text(Header),
                HeaderName::from_static("x-session-auth-level"),
                "And how: `password` at the form of the gateway, `application` where an application said so (OIDC `acr`).",
            ),
            assertion_headers: assertion_header.as_ref().and_then(ExportHeaders::of),
            assertion_header,
            format: section.value(
                "format",
                &FORMAT,
                HandoffFormat::Form,
                "`form`: `application/x-www-form-urlencoded`; `json`: one JSON object.",
            ),
            list_separator: section.optional(
                "list_separator",
                &Text(Separator),
                ";".to_owned(),
                "Stands between the values of a list. Left out, the key is repeated for each value.",
            ),
            entry_headers: section.value(
                "entry_headers",
                &Pairs { names: Text(Header), values: Text(EntryName) },
                Vec::new(),
                "Single entries in headers of their own, for applications that read such: `{ \"X-User\" = \"user\" }`.",
            ),
            include: section.value("include", &List(Text(UrlPath)), root(), "Paths on which the session is presented and can be changed."),
            exclude: section.value("exclude", &List(Text(UrlPath)), Vec::new(), "Paths on which it is not. Wins over `include`."),
            max_header_bytes: section.value(
                "max_header_bytes",
                &Size::between(256, 64 * 1024),
                8 * 1024,
                "The longest header that is made for the application. A larger session is answered with an error that says so.",
            ),
        };
        handoff.check(section);
        handoff
    }

    /// Every header in which the gateway and the application speak of sessions.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        [&self.request_header, &self.update_header, &self.conflict_header]
            .into_iter()
            .chain(&self.auth_time_header)
            .chain(&self.auth_level_header)
            .chain(self.assertion_headers.iter().flat_map(ExportHeaders::names))
            .chain(self.entry_headers.iter().map(|(header, _)| header))
    }

    /// Each header has one meaning. An application that runs as CGI sees no difference between `_` and `-`.
    fn check(&self, section: &Section<'_>) {
        let mut seen: Vec<(String, &str)> = Vec::new();
        let own = [
            ("request_header", &self.request_header),
            ("update_header", &self.update_header),
            ("conflict_header", &self.conflict_header),
        ];
        let told = self.auth_time_header.iter().map(|header| ("auth_time_header", header));
        let told = told.chain(self.auth_level_header.iter().map(|header| ("auth_level_header", header)));
        let exported = self.assertion_headers.iter().flat_map(ExportHeaders::names);
        let told = told.chain(exported.map(|header| ("assertion_header", header)));
        let single = self.entry_headers.iter().map(|(header, _)| ("entry_headers", header));
        for (key, header) in own.into_iter().chain(told).chain(single) {
            let folded = header.as_str().replace('_', "-");
            if let Some((_, other)) = seen.iter().find(|(name, _)| *name == folded) {
                let message = format!("`{key}` names the header `{header}`, and so does `{other}`");
                section.wrong(
                    key,
                    message,
                    "give each a header of its own; case and `_` for `-` make no difference".to_owned(),
                );
            }
            seen.push((folded, key));
        }
    }

    /// Paths that no request to the application at `base` has.
    pub(crate) fn check_reach(&self, section: &Section<'_>, base: &str) {
        check_paths(section, "include", &self.include, base);
        check_paths(section, "exclude", &self.exclude, base);
    }
}

/// Warns of paths that no request to the application at `base` has.
pub(crate) fn check_paths(section: &Section<'_>, key: &str, paths: &[String], base: &str) {
    for path in paths.iter().filter(|path| !web::is_below(path, base) && !web::is_below(base, path)) {
        let message =
            format!("`{key}` holds `{path}`, and the application is only at `{base}`: it never applies");
        let joined = format!("{}{path}", base.trim_end_matches('/'));
        section.warn(key, message, format!("paths are whole paths: perhaps \"{joined}\""));
    }
}
