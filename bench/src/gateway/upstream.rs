//! What stands behind every server that is measured: nginx, which answers from memory.

use std::net::SocketAddr;

use interop::{Nginx, Process};

use crate::error::Result;

/// The session that applications keep here, as they see it: 93 bytes.
pub(crate) const SESSION: &str =
    "user=ada.lovelace&basket=apples*3+pears*2+plums*9&note=call+back+on+monday&theme=dark&lang=en";

/// What every answer to a measured request holds.
pub(crate) const BODY: &str = "forty-one bytes of an answer, and no more";

/// Answers with [`BODY`].
pub(crate) const PLAIN: &str = "/";
/// Answers with the session that it was presented.
pub(crate) const SHOW: &str = "/show";
/// Sets the whole of [`SESSION`].
pub(crate) const OPEN: &str = "/open";
/// Sets one entry of the session to a value that was never there.
pub(crate) const UPDATE: &str = "/update";

/// How many requests one connection may carry: all of them. Otherwise nginx closes it after a thousand, and what
/// is measured is opening connections too.
pub(crate) const KEEP_ALIVE: &str = "keepalive_requests 1000000000; keepalive_timeout 1h;";

/// A running upstream.
#[derive(Debug)]
pub(crate) struct Upstream(Nginx);

impl Upstream {
    /// One worker is enough for it to be twice as fast as the fastest proxy.
    pub(crate) fn start() -> Result<Self> {
        let http = format!(
            "{KEEP_ALIVE}\n\
             server {{\n\
             listen {{address}};\n\
             location = {OPEN} {{ add_header X-Replace-Session \"{SESSION}\"; return 200 \"{BODY}\"; }}\n\
             location = {UPDATE} {{ add_header X-Replace-Session \"seen=$request_id\"; return 200 \"{BODY}\"; }}\n\
             location = {SHOW} {{ return 200 \"$http_x_session\"; }}\n\
             location / {{ return 200 \"{BODY}\"; }}\n\
             }}\n"
        );
        Ok(Self(Nginx::start(1, &http)?))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// The process and its worker.
    pub(crate) fn process(&self) -> &Process {
        self.0.process()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interop::{available, raw};

    #[test]
    fn the_texts_are_as_long_as_they_are_said_to_be() {
        assert_eq!((SESSION.len(), BODY.len()), (93, 41));
    }

    #[test]
    fn it_answers_and_updates() {
        let Some(_) = available(interop::find("nginx", "nginx-light")).unwrap() else { return };
        let upstream = Upstream::start().unwrap();
        let get = |path| raw::get(upstream.address(), path, "X-Session: a=b\r\n").unwrap();
        assert_eq!(get(PLAIN).text(), BODY);
        assert_eq!(get(SHOW).text(), "a=b");
        assert_eq!(get(OPEN).header("x-replace-session"), Some(SESSION));
        let (one, other) = (get(UPDATE), get(UPDATE));
        assert!(one.header("x-replace-session").unwrap().starts_with("seen="));
        assert_ne!(one.header("x-replace-session"), other.header("x-replace-session"));
    }
}
