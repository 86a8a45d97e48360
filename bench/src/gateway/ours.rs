//! Cloakroom, as it is measured: a file that names only what the row is about, everything else as it comes.

use interop::{Cloakroom, raw};

use super::subject::{Session, Subject};
use super::upstream::{OPEN, UPDATE, Upstream};
use crate::error::{Error, Result};
use crate::load::Requests;

/// In how many sessions the row with updates writes: more than there are connections, so that two requests of
/// one session are hardly ever under way together. What parallel writers of one session cost is another matter.
const WRITTEN_SESSIONS: usize = 64;

/// Plain proxying.
pub(crate) fn without_sessions(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start(upstream, "carrier = \"none\"\n")?))
}

/// Sessions, and a visitor who has none.
pub(crate) fn without_cookie(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start(upstream, TICKET)?))
}

/// A session that is found in the first tier, and presented.
pub(crate) fn reading(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream, TICKET)?;
    let cookie = open_session(&server)?;
    Ok(Subject::reading(server, cookie))
}

/// An update header on every response, each of which changes the session for good.
pub(crate) fn updating(upstream: &Upstream) -> Result<Subject> {
    let server = start(upstream, TICKET)?;
    let cookies = (0..WRITTEN_SESSIONS).map(|_| open_session(&server)).collect::<Result<_>>()?;
    let requests = Requests::with(UPDATE, cookies);
    Ok(Subject { server: Box::new(server), requests, session: Session::Changed })
}

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

fn start(upstream: &Upstream, application: &str) -> Result<Cloakroom> {
    let configuration = format!(
        "data_dir = \"{{directory}}/data\"\n\
         [listen]\n\
         gateway = \"{{gateway}}\"\n\
         server = \"{{server}}\"\n\
         [[storage]]\n\
         id = \"local\"\n\
         engine = \"embedded\"\n\
         [[application]]\n\
         id = \"measured\"\n\
         upstream = \"http://{}\"\n\
         {application}",
        upstream.address()
    );
    Ok(Cloakroom::start(&configuration)?)
}

/// Opens a session that holds [`SESSION`](super::upstream::SESSION), the way an application does, and gives its cookie.
fn open_session(server: &Cloakroom) -> Result<String> {
    let answer = raw::get(server.gateway(), OPEN, "")?;
    answer.cookie("session").map(str::to_owned).ok_or_else(|| Error::Wrong {
        row: "cloakroom",
        what: format!("no session was opened: {} `{}`\n{}", answer.status, answer.text(), server.log()),
    })
}
