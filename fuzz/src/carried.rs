//! The session that a visitor carries, as its cookie comes in: nobody makes one but us, all of it that can be read is
//! written again as it was, and it is worth what its times say.
//!
//! An input that begins with `v` is the value of a cookie as it came. Any other is what was sealed into one, by somebody
//! who has our keys: an older build, a newer one, or a damaged one. Behind `+` it stands behind a session that is whole.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cache::{AFTERLIFE, Absence, Application, Cache, Credential, Find, Realm, Settings};
use gateway::cookies::CookieSettings;
use gateway::fuzzing::SealedCookie;
use prometheus_client::registry::Registry;
use seal::{Key, KeyRing, KeyState, Keys};
use session::{Carried, Handle, ManualClock, Millis, Session, Timeouts, Why, record};
use storage::Memory;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// Inputs to begin with. The first is a cookie of 0.1.0, which opens for ever.
pub const SEEDS: &[&[u8]] = &[
    FROM_0_1_0,
    b"v000102030405060708090a0b0c0d0e0f.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    b"v",
    b"vAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"vAQAAAAAAAAAA AAAA====",
    include_bytes!("../../session/src/record/format-1.bin"),
    b"\xc1\x01",
    b"\xc1\x02",
    b"+",
    b"+\x13\x05\x01\x01a\x00\x00",
    b"+\x13\x09\x01\x01a\x03\x01\x01k\x02\x00",
    b"+\x0b\x07\x01i\x01n\x00\x00\x00",
    // Of another realm, over, and of the other kind.
    b"+\x03\x04bank",
    b"+\x0f\x02\x88\x27",
    b"+\x05\x01\x01",
    b"+\x07\x200123456789abcdef0123456789ABCDEF",
    b"+\x1d\x25SECRETSECRETSECRETSECRETSECRETSE\xa0\x1f\xa0\x9c\x01",
    b"+\x1d\x24SECRETSECRETSECRETSECRETSECRETSE\x88\x27\x88\x27",
    b"+\x1d\x2aSECRETSECRETSECRETSECRETSECRETSE\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"+\x19\x03\x01\x01b\xc8\x01\x03\x09\x09\x09",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"\xc1\x01",
    b"\x03\x04shop",
    b"\x05\x02",
    b"\x0f\x02",
    b"\x13",
    b"\x15",
    b"\x17",
    b"\x19",
    b"\x1d\x25",
    b"v",
    b"+",
    b"_",
    b"-",
    b"=",
    b".",
];

const FROM_0_1_0: &[u8] = b"vAYl5C2BCMue82ei7PG3NR6zLKoGpltKwk0pIGk_MZpHggG8FiHAosX6VbOzRey2lOOt_7njO\
Yn5DMS0oMgx-a0-Mqtjmp1HdgDBmEe1wRCBWhGxgH6Rv_UifvuVT7vyxg3B2CPe0GVda";

/// Handle, realm, beginning, revision; secret, last use and the end of all.
const SHORTEST: &[u8] = b"\xc1\x01\x01\x10HANDLEHANDLE0123\x03\x04shop\x05\x02\xb8\x17\x09\x01\x01\
\x1d\x25SECRETSECRETSECRETSECRETSECRETSE\x94\x23\xa0\x9c\x01";

const MAX_COOKIE: usize = 4096;

/// When all inputs are judged, and by what.
const NOW: Millis = Millis(5_000);
const TIMEOUTS: Timeouts = Timeouts { idle: Duration::from_secs(1), lifetime: Duration::from_secs(4) };
const TOUCH_INTERVAL: Duration = Duration::from_millis(200);

/// Sessions that are over are remembered, so that a new house is needed now and then.
const SESSIONS_A_HOUSE: u64 = 4096;

static COOKIES: LazyLock<[SealedCookie; 3]> = LazyLock::new(|| {
    let mut bytes = Zeroizing::new([4; 32]);
    bytes[0] = 0;
    let key = Key::new("now".parse().expect("a name"), KeyState::Active, bytes);
    let keys = Arc::new(Keys::new(KeyRing::new(vec![key]).expect("one is active")));
    [("shop", "__Host-s"), ("bank", "__Host-s"), ("shop", "__Host-t")].map(|(realm, name)| {
        let settings = CookieSettings { name: name.to_owned(), ..CookieSettings::default() };
        SealedCookie::new(Arc::clone(&keys), realm, settings).expect("a cookie can be called so")
    })
});

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    match bytes {
        [b'v', value @ ..] => nobody_else_makes_one(value),
        [b'+', fields @ ..] => what_was_sealed_is_read(&[SHORTEST, fields].concat()),
        plain => what_was_sealed_is_read(plain),
    }
}

fn nobody_else_makes_one(value: &[u8]) {
    let text = std::str::from_utf8(value).unwrap_or_default();
    match COOKIES[0].read(value) {
        Some(Credential::Ticket(ticket)) => assert_eq!(ticket.expose(), text),
        Some(Credential::Carried(_)) => assert_eq!(FROM_0_1_0[1..], *value, "forged, or spelled in two ways"),
        None => {
            assert!(text.parse::<session::Ticket>().is_err() && (FROM_0_1_0[1..] != *value));
        }
    }
}

fn what_was_sealed_is_read(plain: &[u8]) {
    let [cookie, others @ ..] = &*COOKIES;
    let value = cookie.around(plain).expect("it is small");
    let carried = match (cookie.read(value.as_bytes()), record::decode_carried(plain)) {
        (Some(Credential::Carried(carried)), Ok(_)) if value.len() <= MAX_COOKIE => carried,
        (None, decoded) => return assert!(decoded.is_err() || value.len() > MAX_COOKIE),
        (read, decoded) => panic!("{read:?}, of {decoded:?}"),
    };
    assert!(others.iter().all(|other| other.read(value.as_bytes()).is_none()));
    let mut changed = value.into_bytes();
    let at = plain.len() * 7 % changed.len();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    assert!(cookie.read(&changed).is_none(), "changed at {at}");

    let shown = format!("{:?}", Credential::Carried(Arc::clone(&carried)));
    assert!(!shown.contains(format!("{:?}", carried.secret.expose()).trim_matches(['[', ']'])));
    if let Some(again) = cookie.value(&Credential::Carried(Arc::clone(&carried))) {
        let Some(Credential::Carried(again)) = cookie.read(again.as_bytes()) else {
            panic!("{shown} does not open")
        };
        is_the_same(&carried, &again);
    }
    it_is_worth_what_its_times_say(&carried);
}

fn is_the_same(carried: &Carried, again: &Carried) {
    // Notes about changes that were not made go first if there is no room.
    let bare = |session: &Session| Session { conflicts: Vec::new(), ..session.clone() };
    assert_eq!(bare(&again.session), bare(&carried.session));
    assert!(again.session.conflicts.is_empty() || again.session.conflicts == carried.session.conflicts);
    assert_eq!(again.secret.expose(), carried.secret.expose());
    assert_eq!((again.touched, again.good_until), (carried.touched, carried.good_until));
}

fn it_is_worth_what_its_times_say(carried: &Carried) {
    let (found, carried) = HOUSE.with_borrow_mut(|house| {
        let house = house.get_or_insert_with(House::new);
        let carried = house.as_of_somebody_new(carried);
        let found = house.runtime.block_on(house.cache.find_carried(&carried, &house.application));
        let answer = (found.expect("memory is there"), carried);
        if house.sessions == SESSIONS_A_HOUSE {
            *house = House::new();
        }
        answer
    });
    let session = &carried.session;
    let is_past =
        |from: Millis, spans: &[Duration]| spans.iter().fold(from, |at, span| at.plus(*span)) <= NOW;
    let over = if session.ends.is_some_and(|ends| ends <= NOW) || is_past(session.begun, &[TIMEOUTS.lifetime])
    {
        Some(Why::Lifetime)
    } else {
        is_past(carried.touched, &[TIMEOUTS.idle, TOUCH_INTERVAL]).then_some(Why::Idle)
    };
    match found {
        Find::Absent(Absence::OtherRealm) => assert_ne!(&*session.realm, "shop"),
        _ if &*session.realm != "shop" => panic!("found for another realm: {found:?}"),
        Find::Ended(ending) => assert_eq!(Some(ending.why), over),
        _ if over.is_some() => panic!("it is over: {found:?}"),
        Find::Absent(absence) => {
            assert_eq!(absence, Absence::Unknown);
            assert!(carried.good_until <= NOW);
        }
        Find::Found(found) => {
            assert!(carried.good_until > NOW && found.successor.is_none());
            assert_eq!(&found.session, session);
            assert_eq!(found.refreshed.is_some(), NOW.since(carried.touched) >= TOUCH_INTERVAL);
            if let Some(refreshed) = found.refreshed {
                assert_eq!(&refreshed.session, session);
                assert_eq!(refreshed.secret.expose(), carried.secret.expose());
                assert!(refreshed.touched == NOW && refreshed.good_until >= carried.good_until);
            }
        }
    }
}

thread_local! {
    static HOUSE: RefCell<Option<House>> = const { RefCell::new(None) };
}

/// A session cache over the memory of this process.
struct House {
    runtime: Runtime,
    cache: Cache,
    application: Application,
    sessions: u64,
}

impl House {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let clock = Arc::new(ManualClock::at(NOW));
        let storage = Arc::new(Memory::new("memory", Arc::clone(&clock) as _, 16 << 20));
        let settings = Settings {
            inproc_timeout: Duration::from_secs(60),
            inproc_bytes: 1 << 20,
            trust_window: Duration::from_secs(1),
            outage_window: Duration::ZERO,
            renew_window: Duration::from_secs(1),
            cleanup_interval: Duration::ZERO,
            gather_touches: Duration::ZERO,
            maintain_index: true,
        };
        let cache = Cache::new(storage, clock, settings, &mut Registry::default());
        let realm = Arc::new(Realm {
            id: "shop".into(),
            timeouts: vec![TIMEOUTS],
            touch_interval: TOUCH_INTERVAL,
            lateness: TOUCH_INTERVAL,
            allowance: AFTERLIFE,
        });
        cache.reckon_with(&realm);
        let application = Application {
            realm,
            timeouts: TIMEOUTS,
            touch_interval: TOUCH_INTERVAL,
            renew_interval: Duration::ZERO,
        };
        Self { runtime, cache, application, sessions: 0 }
    }

    /// With a handle that nobody had, so that no end of one before is remembered.
    fn as_of_somebody_new(&mut self, carried: &Carried) -> Arc<Carried> {
        self.sessions += 1;
        let handle = Handle::from_bytes(u128::from(self.sessions).to_be_bytes());
        let session = Session { handle, ..Session::clone(&carried.session) };
        Arc::new(Carried { session: Arc::new(session), ..carried.clone() })
    }
}
