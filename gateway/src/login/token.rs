//! The token of our forms: nobody else can send them in the name of a visitor (CSRF), nor log a visitor in as
//! somebody else.
//!
//! A signed double submit. The browser gets a random nonce in a cookie; the form carries a sealed value that
//! holds the same nonce, when it was made, and where to go afterwards. Both must agree. It needs no memory on
//! our side, works on every node that has the keys, and several open forms of one browser all work, since
//! they share the nonce.
//!
//! The cookie is `SameSite=Lax`, not `Strict`: a visitor who follows a link from elsewhere to a protected page
//! is led to the login page by that navigation, and with `Strict` the nonce of an older form would not come
//! along, so that the new one took its place and the older form broke. A foreign page's POST carries a `Lax`
//! cookie no more than a `Strict` one. The prefix `__Host-` keeps neighbours in the domain from planting a
//! nonce of theirs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::{COOKIE, HeaderMap};
use seal::{Keys, SealError};
use session::Millis;
use subtle::{Choice, ConstantTimeEq};

use super::return_to::ReturnTo;

/// How long a form can be sent after it was shown.
const VALID: Duration = Duration::from_secs(3600);

/// How long somebody who has entered their password can say that their oldest session should end.
const CONSENT: Duration = Duration::from_secs(300);

/// How many cookies of the name are looked at. More than one there is only where somebody plants them.
const MAX_COOKIES: usize = 4;

/// The longest token that is looked at, in characters.
const MAX_TOKEN: usize = 4 << 10;

const NONCE: usize = 16;

/// Makes and checks the tokens of one application.
#[derive(Debug)]
pub(super) struct Tokens {
    keys: Arc<Keys>,
    application: Box<str>,
    realm: Box<str>,
    secure: bool,
}

/// Which form a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    /// The one that ends the oldest session of somebody.
    EndOldest,
    Logout,
}

/// A new token and the cookie that belongs to it.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) token: String,
    pub(super) cookie: HeaderValue,
}

/// A token that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejected {
    /// None, or not one of ours for this form.
    Foreign,
    /// Ours, but from longer ago than it is valid.
    TooOld(ReturnTo),
    /// Ours, but the browser did not send the nonce that belongs to it.
    OtherBrowser(ReturnTo),
}

impl Tokens {
    pub(super) fn new(keys: Arc<Keys>, application: &str, realm: &str, secure: bool) -> Self {
        Self { keys, application: application.into(), realm: realm.into(), secure }
    }

    /// A token for a form that is shown now to this browser.
    pub(super) fn issue(
        &self,
        purpose: Purpose,
        browser: &HeaderMap,
        return_to: &ReturnTo,
        now: Millis,
    ) -> Result<Issued, SealError> {
        self.issue_with(purpose, browser, return_to.as_str().as_bytes(), now)
    }

    /// A token for the form that is shown to `user`, who has proved now who they are.
    pub(super) fn issue_to(
        &self,
        user: &str,
        browser: &HeaderMap,
        return_to: &ReturnTo,
        now: Millis,
    ) -> Result<Issued, SealError> {
        let said =
            [&(user.len() as u64).to_be_bytes()[..], user.as_bytes(), return_to.as_str().as_bytes()].concat();
        self.issue_with(Purpose::EndOldest, browser, &said, now)
    }

    fn issue_with(
        &self,
        purpose: Purpose,
        browser: &HeaderMap,
        said: &[u8],
        now: Millis,
    ) -> Result<Issued, SealError> {
        let nonce = match self.nonces(browser).next() {
            Some(nonce) => nonce,
            None => {
                let mut nonce = [0; NONCE];
                getrandom::fill(&mut nonce).map_err(|_| SealError::Refused)?;
                nonce
            }
        };
        let plain = [&nonce[..], &now.0.to_be_bytes(), said].concat();
        let token = URL_SAFE_NO_PAD.encode(self.keys.seal(&self.bound_to(purpose), &plain)?);
        Ok(Issued { token, cookie: self.cookie(&nonce)? })
    }

    /// Has the key of this token be looked for, if another node knew it earlier. Before [`check`](Self::check).
    pub(super) async fn look_for_key(&self, token: &str) {
        if let Some(sealed) = decoded(token) {
            self.keys.look_for(&sealed).await;
        }
    }

    /// Where to go after the form that was sent with this token.
    pub(super) fn check(
        &self,
        purpose: Purpose,
        browser: &HeaderMap,
        token: &str,
        now: Millis,
    ) -> Result<ReturnTo, Rejected> {
        let (nonce, issued, return_to) = self.open(purpose, token).ok_or(Rejected::Foreign)?;
        if !self.is_of(browser, &nonce) {
            return Err(Rejected::OtherBrowser(return_to));
        }
        if now.since(issued) > VALID {
            return Err(Rejected::TooOld(return_to));
        }
        Ok(return_to)
    }

    /// Who was shown the form that was sent with this token, where to they go, and when they proved who they are.
    pub(super) fn check_of(
        &self,
        browser: &HeaderMap,
        token: &str,
        now: Millis,
    ) -> Option<(Box<str>, ReturnTo, Millis)> {
        let (nonce, issued, said) = self.open_with(Purpose::EndOldest, token)?;
        if !self.is_of(browser, &nonce) || now.since(issued) > CONSENT {
            return None;
        }
        let (length, rest) = said.split_first_chunk::<8>()?;
        let (user, path) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        let return_to = ReturnTo::parse(std::str::from_utf8(path).ok()?)?;
        Some((std::str::from_utf8(user).ok()?.into(), return_to, issued))
    }

    fn is_of(&self, browser: &HeaderMap, nonce: &[u8; NONCE]) -> bool {
        self.nonces(browser).fold(Choice::from(0), |known, sent| known | sent.ct_eq(nonce)).into()
    }

    fn open(&self, purpose: Purpose, token: &str) -> Option<([u8; NONCE], Millis, ReturnTo)> {
        let (nonce, issued, path) = self.open_with(purpose, token)?;
        Some((nonce, issued, ReturnTo::parse(std::str::from_utf8(&path).ok()?)?))
    }

    fn open_with(&self, purpose: Purpose, token: &str) -> Option<([u8; NONCE], Millis, Vec<u8>)> {
        let plain = self.keys.open(&self.bound_to(purpose), &decoded(token)?).ok()?;
        let (nonce, rest) = plain.split_first_chunk::<NONCE>()?;
        let (issued, said) = rest.split_first_chunk::<8>()?;
        Some((*nonce, Millis(u64::from_be_bytes(*issued)), said.to_vec()))
    }

    /// The associated data. Lengths in front keep two names from looking like two others.
    fn bound_to(&self, purpose: Purpose) -> Vec<u8> {
        let purpose = match purpose {
            Purpose::Login => "cloakroom login form v1",
            Purpose::EndOldest => "cloakroom end of the oldest form v1",
            Purpose::Logout => "cloakroom logout form v1",
        };
        let mut bound = Vec::new();
        for name in [purpose, &self.application, &self.realm] {
            bound.extend_from_slice(&(name.len() as u64).to_be_bytes());
            bound.extend_from_slice(name.as_bytes());
        }
        bound
    }

    fn nonces<'a>(&'a self, browser: &'a HeaderMap) -> impl Iterator<Item = [u8; NONCE]> + 'a {
        browser
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie_name())
            .take(MAX_COOKIES)
            .filter_map(|(_, value)| URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok())
    }

    /// Set anew with each form, so that it lives as long as the newest.
    fn cookie(&self, nonce: &[u8; NONCE]) -> Result<HeaderValue, SealError> {
        let (name, value) = (self.cookie_name(), URL_SAFE_NO_PAD.encode(nonce));
        let secure = if self.secure { "; Secure" } else { "" };
        let cookie =
            format!("{name}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{secure}", VALID.as_secs());
        HeaderValue::from_str(&cookie).map_err(|_| SealError::Refused)
    }

    /// Browsers take `__Host-` with `Secure` only.
    const fn cookie_name(&self) -> &'static str {
        if self.secure { super::NONCE_COOKIE } else { super::INSECURE_NONCE_COOKIE }
    }
}

fn decoded(token: &str) -> Option<Vec<u8>> {
    (token.len() <= MAX_TOKEN).then(|| URL_SAFE_NO_PAD.decode(token).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seal::{Key, KeyRing, KeyState};

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn keys(byte: u8) -> Arc<Keys> {
        let mut bytes = [byte; 32];
        bytes[0] = 0;
        let key = Key::new("test".parse().unwrap(), KeyState::Active, zeroize::Zeroizing::new(bytes));
        Arc::new(Keys::new(KeyRing::new(vec![key]).unwrap()))
    }

    fn tokens() -> Tokens {
        Tokens::new(keys(1), "shop", "shop", true)
    }

    /// The browser after it has taken this cookie.
    fn with(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("a=b; {pair}; c=d")).unwrap())])
    }

    fn back() -> ReturnTo {
        ReturnTo::parse("/account?tab=2").unwrap()
    }

    fn issue(tokens: &Tokens, browser: &HeaderMap) -> Issued {
        tokens.issue(Purpose::Login, browser, &back(), NOW).unwrap()
    }

    #[test]
    fn a_form_can_be_sent_by_the_browser_that_got_it() {
        let tokens = tokens();
        let issued = issue(&tokens, &HeaderMap::new());
        let browser = with(&issued.cookie);
        assert_eq!(tokens.check(Purpose::Login, &browser, &issued.token, NOW), Ok(back()));
        let later = NOW.plus(VALID);
        assert_eq!(tokens.check(Purpose::Login, &browser, &issued.token, later), Ok(back()));
        let too_late = later.plus(Duration::from_millis(1));
        assert_eq!(
            tokens.check(Purpose::Login, &browser, &issued.token, too_late),
            Err(Rejected::TooOld(back()))
        );
    }

    /// Another node may seal with a key that this one has not seen yet.
    #[tokio::test]
    async fn a_form_of_a_newer_key_waits_until_that_key_was_looked_for() {
        let shared = keys(1);
        let (newer, here) = (Tokens::new(keys(2), "shop", "shop", true), Arc::clone(&shared));
        let tokens = Tokens::new(shared, "shop", "shop", true);
        let issued = issue(&newer, &HeaderMap::new());
        let keeper = here.keeper();
        let keeping = tokio::spawn(async move {
            keeper.wanted().await;
            let look = keeper.begin();
            let text = [&[0u8][..], &[2; 31]].concat();
            let newer = Key::new(
                "newer".parse().unwrap(),
                KeyState::Active,
                zeroize::Zeroizing::new(text.try_into().unwrap()),
            );
            keeper.keys().replace(KeyRing::new(vec![newer]).unwrap());
            keeper.end(look);
        });
        tokens.look_for_key(&issued.token).await;
        keeping.await.unwrap();
        assert_eq!(tokens.check(Purpose::Login, &with(&issued.cookie), &issued.token, NOW), Ok(back()));
    }

    #[test]
    fn a_form_cannot_be_sent_by_another_browser() {
        let tokens = tokens();
        let mine = issue(&tokens, &HeaderMap::new());
        let other = issue(&tokens, &HeaderMap::new());
        for browser in [HeaderMap::new(), with(&other.cookie)] {
            assert_eq!(
                tokens.check(Purpose::Login, &browser, &mine.token, NOW),
                Err(Rejected::OtherBrowser(back()))
            );
        }
    }

    #[test]
    fn a_token_is_for_one_form_of_one_application_with_our_keys() {
        let tokens = tokens();
        let issued = issue(&tokens, &HeaderMap::new());
        let browser = with(&issued.cookie);
        let others = [
            (Tokens::new(keys(1), "shop", "shop", true), Purpose::Logout),
            (Tokens::new(keys(1), "wiki", "shop", true), Purpose::Login),
            (Tokens::new(keys(1), "shop", "wiki", true), Purpose::Login),
            (Tokens::new(keys(1), "sho", "pshop", true), Purpose::Login),
            (Tokens::new(keys(2), "shop", "shop", true), Purpose::Login),
        ];
        for (other, purpose) in others {
            assert_eq!(other.check(purpose, &browser, &issued.token, NOW), Err(Rejected::Foreign));
        }
        for token in ["", "x", issued.token.get(1..).unwrap(), &"A".repeat(MAX_TOKEN + 4)] {
            assert_eq!(tokens.check(Purpose::Login, &browser, token, NOW), Err(Rejected::Foreign));
        }
    }

    #[test]
    fn who_has_entered_their_password_need_not_do_so_again_for_a_few_minutes() {
        let tokens = tokens();
        let issued = tokens.issue_to("ada", &HeaderMap::new(), &back(), NOW).unwrap();
        let browser = with(&issued.cookie);
        let check = |browser: &HeaderMap, now| tokens.check_of(browser, &issued.token, now);
        assert_eq!(check(&browser, NOW.plus(CONSENT)), Some(("ada".into(), back(), NOW)));
        assert_eq!(check(&browser, NOW.plus(CONSENT + Duration::from_millis(1))), None);
        assert_eq!(check(&HeaderMap::new(), NOW), None, "another browser");
        let form = issue(&tokens, &browser);
        assert_eq!(tokens.check_of(&browser, &form.token, NOW), None, "the token of a form for everybody");
        assert_eq!(tokens.check(Purpose::Login, &browser, &issued.token, NOW), Err(Rejected::Foreign));
    }

    #[test]
    fn two_open_forms_of_one_browser_both_work() {
        let tokens = tokens();
        let first = issue(&tokens, &HeaderMap::new());
        let second = issue(&tokens, &with(&first.cookie));
        assert_ne!(first.token, second.token);
        for token in [first.token, second.token] {
            assert_eq!(tokens.check(Purpose::Login, &with(&second.cookie), &token, NOW), Ok(back()));
        }
    }

    #[test]
    fn the_cookie_is_as_strict_as_the_connection_allows() {
        let cookie = |secure| issue(&Tokens::new(keys(1), "a", "a", secure), &HeaderMap::new()).cookie;
        let secure = cookie(true);
        let secure = secure.to_str().unwrap();
        assert!(secure.starts_with("__Host-cloakroom-login="), "{secure}");
        assert!(secure.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"), "{secure}");
        let plain = cookie(false);
        let plain = plain.to_str().unwrap();
        assert!(plain.starts_with("cloakroom-login=") && !plain.contains("Secure"), "{plain}");
    }

    proptest! {
        #[test]
        fn no_cookie_header_is_too_strange(bytes in prop::collection::vec(33u8..=126, 0..300)) {
            let value = [b"__Host-cloakroom-login=".as_slice(), &bytes].concat();
            let browser = HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(&value).unwrap())]);
            let tokens = tokens();
            let issued = issue(&tokens, &browser);
            prop_assert!(issued.cookie.to_str().unwrap().starts_with("__Host-cloakroom-login="));
            prop_assert_eq!(tokens.check(Purpose::Login, &with(&issued.cookie), &issued.token, NOW), Ok(back()));
        }
    }
}
