use seal::{Key, KeyRing, KeyState};
use session::{Handle, Millis, Patch, Revision, Secret, SecretHash, Value};
use zeroize::Zeroizing;

use super::*;
use crate::cookies::CookieSettings;

fn keys(byte: u8) -> Arc<Keys> {
    let mut bytes = [byte; 32];
    bytes[0] = byte.wrapping_add(1);
    let key = Key::new("test".parse().unwrap(), KeyState::Active, Zeroizing::new(bytes));
    Arc::new(Keys::new(KeyRing::new(vec![key]).unwrap()))
}

fn cookie(name: &str) -> Cookie {
    Cookie::new(CookieSettings { name: name.to_owned(), ..CookieSettings::default() }).unwrap()
}

fn sealed(byte: u8, realm: &str, cookie: &Cookie, may_spill: bool) -> Carrier {
    Carrier::new(settings::Carrier::Sealed { keys: keys(byte), may_spill }, realm, cookie, 0)
}

fn carried(entry: &str) -> Credential {
    let mut session =
        Session::new(Handle::from_bytes([3; 16]), SecretHash::NOBODYS, "shop", Millis(1_700_000_000_000));
    let mut patch = Patch::new(Revision(1));
    patch.set("basket", Value::from(entry));
    session.apply(&patch, session::OnConflict::KeepFirst);
    let touched = Millis(1_700_000_000_009);
    let (secret, good_until) = (Secret::from_bytes([9; 32]), Millis(1_700_000_009_000));
    Credential::Carried(Arc::new(Carried { session: Arc::new(session), secret, touched, good_until }))
}

/// The value of the cookie that is set.
fn value(carrier: &Carrier, cookie: &Cookie, credential: &Credential) -> Option<String> {
    let set = carrier.set(cookie, credential)?;
    assert!(set.is_sensitive());
    let text = set.to_str().unwrap();
    Some(text.split_once('=').unwrap().1.split_once(';').unwrap().0.to_owned())
}

#[tokio::test]
async fn what_was_sealed_opens_and_is_the_same() {
    let cookie = cookie("__Host-session");
    let carrier = sealed(7, "shop", &cookie, false);
    let given = carried("three apples");
    let value = value(&carrier, &cookie, &given).unwrap();
    let (Some(Credential::Carried(read)), Credential::Carried(given)) =
        (carrier.read(value.as_bytes()).await, given)
    else {
        panic!("it does not open");
    };
    assert_eq!(read.session, given.session);
    assert_eq!((read.touched, read.good_until), (given.touched, given.good_until));
    assert_eq!(read.secret.hash(), given.secret.hash());
}

#[tokio::test]
async fn it_opens_for_no_other_realm_cookie_or_key() {
    let (ours, other) = (cookie("__Host-session"), cookie("__Host-other"));
    let value = value(&sealed(7, "shop", &ours, false), &ours, &carried("x")).unwrap();
    for carrier in [
        sealed(7, "bank", &ours, false),
        sealed(7, "shop", &other, false),
        sealed(8, "shop", &ours, false),
        Carrier::new(settings::Carrier::Ticket, "shop", &ours, 0),
    ] {
        assert!(carrier.read(value.as_bytes()).await.is_none(), "{carrier:?}");
    }
    // The parts are kept apart: none can borrow a letter of the next.
    assert_ne!(bound_to(FORMAT, "ab", "c"), bound_to(FORMAT, "a", "bc"));
}

#[tokio::test]
async fn no_changed_value_opens() {
    let cookie = cookie("__Host-session");
    let carrier = sealed(7, "shop", &cookie, false);
    let value = value(&carrier, &cookie, &carried("x")).unwrap();
    for at in 0..value.len() {
        let mut changed = value.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(carrier.read(&changed).await.is_none(), "byte {at}");
        assert!(carrier.read(&value.as_bytes()[..at]).await.is_none(), "cut off at {at}");
    }
    for junk in ["", ".", "=", "AQ==", &format!("{value}="), &format!("{value}A"), &"A".repeat(5000)] {
        assert!(carrier.read(junk.as_bytes()).await.is_none(), "{junk}");
    }
}

#[test]
fn what_fits_is_set_and_what_does_not_is_not() {
    let cookie = cookie("__Host-session");
    let (stays, moves) = (sealed(7, "shop", &cookie, false), sealed(7, "shop", &cookie, true));
    let mut largest = 0;
    for length in 2500..3500 {
        let credential = carried(&"x".repeat(length));
        let Credential::Carried(carried) = &credential else { continue };
        let is_set = value(&stays, &cookie, &credential).is_some();
        match stays.fit(&cookie, &carried.session) {
            Fit::Fits => {
                assert!(is_set, "{length} bytes fit and cannot be set");
                largest = length;
            }
            Fit::Unfit => assert_eq!(moves.fit(&cookie, &carried.session), Fit::Moves),
            Fit::Moves => panic!("it may not move"),
        }
    }
    // Of 4096 bytes, three quarters are the session.
    assert!(largest > 2850, "{largest} bytes of entries at most");
}

#[test]
fn nothing_shows_what_is_in_a_cookie() {
    let cookie = cookie("__Host-session");
    let carrier = sealed(7, "shop", &cookie, false);
    let secret = "09".repeat(4);
    let shown = format!("{carrier:?} {:?}", carried("x"));
    assert!(!shown.contains("9, 9, 9") && !shown.contains(&secret), "{shown}");
}
