//! The cookie of LemonLDAP::NG, as its portal writes it.

use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

/// How the cookie that holds the id of a session is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionCookie {
    /// Its name.
    pub name: Box<str>,
    /// With a domain, all hosts below it get the cookie; without, only the host that set it.
    pub domain: Option<Box<str>>,
    /// Whether it travels over TLS only.
    pub is_secure: bool,
}

impl SessionCookie {
    /// An answer that sets it.
    pub(super) fn give(&self, answer: Response, id: &str) -> Response {
        self.write(answer, id, "")
    }

    /// An answer that takes it away.
    pub(super) fn take(&self, answer: Response) -> Response {
        // The moment is that of LemonLDAP::NG: any that is over does.
        self.write(answer, "0", "; expires=Wed, 21 Oct 2015 00:00:00 GMT")
    }

    /// The attributes are those, and in that order, in which a portal writes them: a browser replaces a cookie only by one of the
    /// same domain and path, so that what takes it away has both as well.
    fn write(&self, mut answer: Response, value: &str, expires: &str) -> Response {
        let Self { name, domain, is_secure } = self;
        let domain = domain.as_ref().map(|domain| format!("; domain=.{domain}")).unwrap_or_default();
        let secure = if *is_secure { "; secure" } else { "" };
        let cookie = format!("{name}={value}{domain}; path=/{expires}; HttpOnly=1; SameSite=Lax{secure}");
        if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
            cookie.set_sensitive(true);
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_cookie_is_set_and_taken_away_as_by_a_portal() {
        // captures/llng: cookies/securedCookie-1, restraw/88-auth-fixedid, and its clearing ones.
        let set = |cookie: &SessionCookie, id: Option<&str>| {
            let answer = Response::new(Body::empty());
            let answer = match id {
                Some(id) => cookie.give(answer, id),
                None => cookie.take(answer),
            };
            let header = answer.headers().get(SET_COOKIE).unwrap();
            assert!(header.is_sensitive(), "no log shows it");
            header.to_str().unwrap().to_owned()
        };
        let whole =
            SessionCookie { name: "lemonldap".into(), domain: Some("example.com".into()), is_secure: true };
        assert_eq!(
            set(&whole, Some("82c1")),
            "lemonldap=82c1; domain=.example.com; path=/; HttpOnly=1; SameSite=Lax; secure"
        );
        assert_eq!(
            set(&SessionCookie { is_secure: false, ..whole.clone() }, None),
            "lemonldap=0; domain=.example.com; path=/; expires=Wed, 21 Oct 2015 00:00:00 GMT; HttpOnly=1; SameSite=Lax"
        );
        assert_eq!(
            set(&SessionCookie { domain: None, is_secure: false, ..whole }, Some("82c1")),
            "lemonldap=82c1; path=/; HttpOnly=1; SameSite=Lax"
        );
    }
}
