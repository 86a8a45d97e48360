//! Assertions for the application: it is told where they are, and fetches them there.
//!
//! What somebody was logged in with is too large for a header, so what is handed over is an address for each, on the
//! application's own host. It names the session by its handle, which opens nothing, and the assertion by its id; there is no
//! ticket in it. Whoever holds an assertion may pass for the person that it is about, so only who comes from one of the
//! configured networks gets it, whatever they know. A proxy that nobody told us of would make all of its visitors
//! come from its own address: a request that says it was forwarded, by whom we do not trust, is from nobody.

use std::sync::Arc;

use bytes::Bytes;
use cache::{Asserted, MAX_ASSERTIONS};
use http::header::{ALLOW, FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use ipnet::IpNet;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use session::{Handle, Session};

use crate::application::{Application, Sessions};
use crate::body::Outbound;
use crate::exchange::Passing;
use crate::forwarded::Client;
use crate::handoff::{Presentation, TooLarge};
use crate::login;
use crate::pages::{Fault, own};
use crate::service::Service;

/// As Shibboleth says of those that it exports, and names what is in the address.
const ASSERTION_TYPE: &str = "application/samlassertion+xml";
const KEY: &str = "key";
const ID: &str = "ID";

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where an application fetches assertions, and who may.
#[derive(Debug, Clone)]
pub struct Export {
    /// The path, on the application's own host.
    pub location: Box<str>,
    /// Networks from one of which a request comes; none: nobody may.
    pub acl: Box<[IpNet]>,
    /// The headers in which the application is told where they are; none: it is told otherwise.
    pub headers: Option<ExportHeaders>,
}

/// The headers that say where the assertions of a session are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHeaders {
    /// How many there are.
    pub count: HeaderName,
    /// Where each of them is, in their order.
    pub each: Box<[HeaderName]>,
}

impl ExportHeaders {
    /// `PREFIX-Count` and `PREFIX-01` to as many as a session has at most. None, if that makes no names.
    #[must_use]
    pub fn of(prefix: &HeaderName) -> Option<Self> {
        let name = |end: &str| HeaderName::try_from(format!("{prefix}-{end}")).ok();
        let each = (1..=MAX_ASSERTIONS).map(|number| name(&format!("{number:02}")));
        Some(Self { count: name("count")?, each: each.collect::<Option<_>>()? })
    }

    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.count).chain(&self.each)
    }
}

impl Export {
    /// Tells the application where the assertions of a session are. The host is said only where the application has
    /// `hosts`: of others it is what the visitor made it, and an application must not be sent anywhere by a visitor.
    ///
    /// # Errors
    /// An address would be too long for a header. Then nothing is told.
    pub(crate) fn present(
        &self,
        session: &Session,
        client: &Client,
        has_hosts: bool,
        presentation: &Presentation,
        headers: &mut HeaderMap,
    ) -> Result<(), TooLarge> {
        let Some(names) = self.headers.as_ref().filter(|_| !session.assertions.is_empty()) else {
            return Ok(());
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|_| has_hosts);
        let origin = host.map(|host| format!("{}://{host}", client.scheme())).unwrap_or_default();
        let (location, handle) = (&self.location, session.handle);
        let told = session.assertions.iter().zip(&names.each).map(|(id, name)| {
            let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
            let address = format!("{origin}{location}?{KEY}={handle}&{ID}={id}");
            let (bytes, limit) = (address.len(), presentation.max_header_bytes);
            let too_large = || TooLarge { header: name.clone(), bytes, limit, largest: Vec::new() };
            match HeaderValue::try_from(address) {
                Ok(address) if bytes <= limit => Ok((name.clone(), address)),
                _ => Err(too_large()),
            }
        });
        let told = told.collect::<Result<Vec<_>, _>>()?;
        headers.insert(names.count.clone(), HeaderValue::from(told.len()));
        headers.extend(told);
        Ok(())
    }

    /// Whether this client may fetch assertions.
    fn admits(&self, client: &Client, headers: &HeaderMap) -> bool {
        let is_forwarded_by_somebody = client.proxies.is_empty()
            && (headers.contains_key(&X_FORWARDED_FOR) || headers.contains_key(FORWARDED));
        let address = client.address.to_canonical();
        !is_forwarded_by_somebody && self.acl.iter().any(|network| network.contains(&address))
    }
}

impl Service {
    /// The answer to a request for an assertion. It is no use of the session.
    pub(crate) async fn export(
        self: &Arc<Self>,
        passing: &Passing,
        application: &Application,
        sessions: &Sessions,
        export: &Export,
    ) -> Response<Outbound> {
        let Passing { parts, client, .. } = passing;
        let refuse = |status: StatusCode, detail: &'static str| {
            self.error(&parts.headers, &Fault::new(status).detail(detail))
        };
        if !export.admits(client, &parts.headers) {
            self.counters.refuse("not_allowed");
            tracing::warn!(application = %application.id, client = %client.address, "somebody wanted an assertion who may not have it (`export_acl`)");
            return refuse(StatusCode::FORBIDDEN, "Assertions are not for you.");
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            let mut response =
                refuse(StatusCode::METHOD_NOT_ALLOWED, "An assertion can be fetched, and that is all.");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some([key, id]) = login::fields(parts.uri.query(), [KEY, ID]) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "The query says `key`, which is the handle of the session, and `ID`.",
            );
        };
        let absent = || refuse(StatusCode::NOT_FOUND, "There is no such assertion of a live session.");
        let Ok(handle) = key.parse::<Handle>() else { return absent() };
        match self.cache.assertion_for(&handle, &id, &sessions.judge).await {
            Ok(Asserted::Found(assertion)) => {
                tracing::info!(application = %application.id, client = %client.address, %handle, "an assertion was fetched");
                let body: Bytes = assertion;
                own(StatusCode::OK, ASSERTION_TYPE, body).map(Outbound::from)
            }
            Ok(Asserted::Unknown | Asserted::NoSession) => absent(),
            Err(error) => self.unavailable(&parts.headers, &error, None),
        }
    }
}
