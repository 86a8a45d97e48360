//! Cloakroom, as it is measured: a file that names only what the row is about, everything else as it comes.

use std::net::SocketAddr;

use interop::{Cloakroom, raw};

use super::subject::{Session, Subject};
use super::upstream::{OPEN, PLAIN, UPDATE, Upstream};
use crate::error::{Error, Result};
use crate::load::{Certificate, Echo, Load, Protocol, Requests};

/// In how many sessions the row with updates writes: more than there are connections, so that two requests of
/// one session are hardly ever under way together. What parallel writers of one session cost is another matter.
const WRITTEN_SESSIONS: usize = 64;

/// Plain proxying.
pub(crate) fn without_sessions(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start(upstream.address(), "", NONE)?))
}

/// Sessions, and a visitor who has none.
pub(crate) fn without_cookie(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start(upstream.address(), "", TICKET)?))
}

/// A session that is found in the first tier, and presented.
pub(crate) fn reading(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream.address(), "", TICKET)?;
    let cookie = open_session(&server)?;
    Ok(Subject::reading(server, cookie))
}

/// An update header on every response, each of which changes the session for good.
pub(crate) fn updating(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream.address(), "", TICKET)?;
    let cookies = (0..WRITTEN_SESSIONS).map(|_| open_session(&server)).collect::<Result<_>>()?;
    let requests = Requests::with(UPDATE, cookies);
    Ok(Subject::under(server, Load::Clear(requests), Session::Changed))
}

/// A session that its visitor carries, opened and presented.
pub(crate) fn reading_sealed(upstream: &Upstream) -> Result<Subject> {
    let server = start_sealed(upstream)?;
    let cookie = open_session(&server)?;
    Ok(Subject::reading(server, cookie))
}

/// An update header on every response, each of which seals another cookie.
pub(crate) fn updating_sealed(upstream: &Upstream) -> Result<Subject> {
    let server = start_sealed(upstream)?;
    let cookies = (0..WRITTEN_SESSIONS).map(|_| open_session(&server)).collect::<Result<_>>()?;
    Ok(Subject::under(server, Load::Clear(Requests::with(UPDATE, cookies)), Session::Carried))
}

/// Plain proxying over TLS.
pub(crate) fn tls(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream.address(), TLS, NONE)?;
    Ok(Subject::under(server, Load::Tls(Protocol::Http1, PLAIN), Session::None))
}

/// The same with HTTP/2.
pub(crate) fn http2(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream.address(), TLS, NONE)?;
    Ok(Subject::under(server, Load::Tls(Protocol::Http2, PLAIN), Session::None))
}

/// Visitors who come over TLS for one request.
pub(crate) fn handshakes(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream.address(), TLS, NONE)?;
    Ok(Subject::under(server, Load::Handshakes(PLAIN), Session::None))
}

/// Visitors who talk to an application over WebSocket.
pub(crate) fn messages(_: &Upstream) -> Result<Subject> {
    let echo = Echo::start()?;
    let server = start(echo.address(), "", NONE)?;
    Ok(Subject::under(server, Load::Messages, Session::None))
}

/// No sessions at all.
pub(crate) const NONE: &str = "carrier = \"none\"\n";

/// With this in `[listen]`, visitors come over TLS.
pub(crate) const TLS: &str = "[listen.tls]\n\
    certificates = [{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }]\n";

const TICKET: &str = "\
    carrier = \"ticket\"\n\
    idle_timeout = \"30m\"\n\
    lifetime = \"8h\"\n\
    [application.cookie]\n\
    name = \"session\"\n\
    secure = false\n\
    [application.handoff]\n\
    request_header = \"X-Session\"\n\
    update_header = \"X-Replace-Session\"\n";

const SEALED: &str = "\
    carrier = \"sealed\"\n\
    idle_timeout = \"30m\"\n\
    lifetime = \"8h\"\n\
    [application.cookie]\n\
    name = \"session\"\n\
    secure = false\n\
    [application.handoff]\n\
    request_header = \"X-Session\"\n\
    update_header = \"X-Replace-Session\"\n\
    [[keys]]\n\
    id = \"2026-11\"\n\
    file = \"keys/2026-11.key\"\n";

fn start_sealed(upstream: &Upstream) -> Result<Cloakroom> {
    start(upstream.address(), "", SEALED)
}

/// With these lines after `[listen]`, before an upstream at that address.
pub(crate) fn start(upstream: SocketAddr, listen: &str, application: &str) -> Result<Cloakroom> {
    let issued = &Certificate::of_this_run()?.issued;
    let files = [("tls/shop.pem", issued.certificate.as_str()), ("tls/shop.key", issued.key.as_str())];
    let configuration = format!(
        "data_dir = \"{{directory}}/data\"\n\
         [listen]\n\
         gateway = \"{{gateway}}\"\n\
         server = \"{{server}}\"\n\
         {listen}\
         [gateway]\n\
         max_connections = 20000\n\
         idle_connection_timeout = \"1h\"\n\
         [[storage]]\n\
         id = \"local\"\n\
         engine = \"embedded\"\n\
         [[application]]\n\
         id = \"measured\"\n\
         upstream = \"http://{upstream}\"\n\
         {application}"
    );
    Ok(Cloakroom::start_with(&configuration, &files)?)
}

/// Opens a session that holds [`SESSION`](super::upstream::SESSION), the way an application does, and gives its cookie.
fn open_session(server: &Cloakroom) -> Result<String> {
    let answer = raw::get(server.gateway(), OPEN, "")?;
    answer.cookie("session").map(str::to_owned).ok_or_else(|| Error::Wrong {
        row: "cloakroom",
        what: format!("no session was opened: {} `{}`\n{}", answer.status, answer.text(), server.log()),
    })
}
