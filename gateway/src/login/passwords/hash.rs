//! One password hash of a file, in any of the schemes that `htpasswd` and its kin write.
//!
//! What it costs to verify is known before the first attempt, and bounded: a hash says itself how much work it
//! is, so a file with a slip in one digit could otherwise keep a core busy for hours per attempt.

use std::fmt;

use argon2::{Argon2, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::{PasswordHashRef, ShaCrypt};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use super::apr1;

/// The highest cost of bcrypt: about a second on a core of today.
const MAX_BCRYPT_COST: u32 = 14;
/// The most rounds of SHA-crypt: about half a second.
const MAX_SHA_CRYPT_ROUNDS: u32 = 500_000;
/// Below this no implementation of SHA-crypt goes.
const MIN_SHA_CRYPT_ROUNDS: u32 = 1000;
/// The most memory of argon2, in KiB.
const MAX_ARGON2_MEMORY: u32 = 256 << 10;
/// The most memory of argon2 times its passes, in KiB: about a second.
const MAX_ARGON2_WORK: u64 = 1 << 20;
/// The most lanes of argon2.
const MAX_ARGON2_LANES: u32 = 16;

/// A password hash that can be verified within the bounds.
pub(super) enum Hash {
    Bcrypt(Box<str>),
    Apr1 { salt: Box<[u8]>, hash: [u8; 22] },
    Sha1([u8; 20]),
    ShaCrypt(Box<str>),
    Argon2(Box<argon2::PasswordHash>),
}

impl Hash {
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        match scheme(text) {
            "2a" | "2b" | "2y" => bcrypt(text),
            "2x" => Err(HashError::Unsupported { scheme: "the faulty bcrypt variant $2x$" }),
            "apr1" => apr1(text),
            "{SHA}" => sha1(text),
            "5" => sha_crypt(text, 43),
            "6" => sha_crypt(text, 86),
            "argon2id" | "argon2i" | "argon2d" => argon2(text),
            "1" => Err(HashError::Unsupported { scheme: "MD5-crypt ($1$)" }),
            "y" | "gy" => Err(HashError::Unsupported { scheme: "yescrypt" }),
            "7" => Err(HashError::Unsupported { scheme: "scrypt ($7$)" }),
            "{SSHA}" | "{SSHA256}" | "{SSHA512}" => Err(HashError::Unsupported { scheme: "LDAP's {SSHA}" }),
            _ if text.is_empty() => Err(HashError::Missing),
            _ => Err(HashError::PlainText),
        }
    }

    /// Whether this is the hash of `password`. Takes its time: never on an async thread.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Apr1 { salt, hash } => apr1::hash(password, salt).ct_eq(hash).into(),
            Self::Sha1(hash) => Sha1::digest(password).as_slice().ct_eq(hash).into(),
            Self::ShaCrypt(text) => PasswordHashRef::new(text)
                .is_ok_and(|hash| ShaCrypt::default().verify_password(password, hash).is_ok()),
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
        }
    }

    /// Whether a stolen file would give the password away quickly.
    pub(super) fn is_weak(&self) -> bool {
        matches!(self, Self::Apr1 { .. } | Self::Sha1(_))
    }
}

/// Shows the scheme and no more.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "bcrypt",
            Self::Apr1 { .. } => "apr1",
            Self::Sha1(_) => "SHA-1",
            Self::ShaCrypt(_) => "SHA-crypt",
            Self::Argon2(_) => "argon2",
        })
    }
}

/// Why a text cannot be used as a password hash. None of these repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Nothing follows the user's name.
    #[error("the password hash is missing: set it with `htpasswd -B`")]
    Missing,
    /// No scheme that anybody knows, so perhaps the password itself.
    #[error("this is no known password hash, perhaps the password in plain text: hash it with `htpasswd -B`")]
    PlainText,
    /// A scheme that is known and not read.
    #[error("{scheme} is not supported: set the password anew with `htpasswd -B`")]
    Unsupported {
        /// Its name.
        scheme: &'static str,
    },
    /// A known scheme, but the text does not follow it.
    #[error("the {scheme} hash is malformed, perhaps cut off: set the password anew with `htpasswd -B`")]
    Malformed {
        /// Its name.
        scheme: &'static str,
    },
    /// Each verification would take too long or too much memory.
    #[error(
        "the {scheme} hash has {what} {is}, which costs too much for each attempt: at most {most} is allowed"
    )]
    TooCostly {
        /// Its name.
        scheme: &'static str,
        /// Which parameter.
        what: &'static str,
        /// Its value.
        is: u64,
        /// The bound.
        most: u64,
    },
}

/// What stands between the first two `$`, or in braces at the beginning.
fn scheme(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('$') {
        return rest.split_once('$').map_or("", |(scheme, _)| scheme);
    }
    match text.find('}') {
        Some(end) if text.starts_with('{') => text.get(..=end).unwrap_or_default(),
        _ => "",
    }
}

fn bounded(scheme: &'static str, what: &'static str, is: u64, most: u64) -> Result<(), HashError> {
    if is > most { Err(HashError::TooCostly { scheme, what, is, most }) } else { Ok(()) }
}

fn bcrypt(text: &str) -> Result<Hash, HashError> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Malformed { scheme: "bcrypt" })?;
    let cost = parts.get_cost();
    bounded("bcrypt", "cost", cost.into(), MAX_BCRYPT_COST.into())?;
    if cost < 4 {
        return Err(HashError::Malformed { scheme: "bcrypt" });
    }
    Ok(Hash::Bcrypt(text.into()))
}

fn apr1(text: &str) -> Result<Hash, HashError> {
    let parts = || {
        let (salt, hash) = text.strip_prefix("$apr1$")?.split_once('$')?;
        let plain = hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
        let salt = (1..=8).contains(&salt.len()).then(|| salt.as_bytes().into())?;
        Some(Hash::Apr1 { salt, hash: plain.then(|| hash.as_bytes().try_into().ok())?? })
    };
    parts().ok_or(HashError::Malformed { scheme: "apr1" })
}

fn sha1(text: &str) -> Result<Hash, HashError> {
    text.strip_prefix("{SHA}")
        .and_then(|hash| STANDARD.decode(hash).ok()?.try_into().ok())
        .map(Hash::Sha1)
        .ok_or(HashError::Malformed { scheme: "SHA-1" })
}

/// `$5$[rounds=N$]salt$hash`, the hash of as many characters as given.
fn sha_crypt(text: &str, length: usize) -> Result<Hash, HashError> {
    let malformed = || HashError::Malformed { scheme: "SHA-crypt" };
    let mut fields = text.split('$').skip(2).peekable();
    let rounds: u32 = match fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
        Some(rounds) => {
            fields.next();
            rounds.parse().map_err(|_| malformed())?
        }
        None => sha_crypt::Params::RECOMMENDED_ROUNDS,
    };
    bounded("SHA-crypt", "rounds", rounds.into(), MAX_SHA_CRYPT_ROUNDS.into())?;
    let (salt, hash) = (fields.next().ok_or_else(malformed)?, fields.next().ok_or_else(malformed)?);
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
    let fits =
        salt.len() <= 16 && hash.len() == length && fields.next().is_none() && plain(salt) && plain(hash);
    if !fits || salt.is_empty() || rounds < MIN_SHA_CRYPT_ROUNDS || PasswordHashRef::new(text).is_err() {
        return Err(malformed());
    }
    Ok(Hash::ShaCrypt(text.into()))
}

fn argon2(text: &str) -> Result<Hash, HashError> {
    let malformed = || HashError::Malformed { scheme: "argon2" };
    let hash = argon2::PasswordHash::new(text).map_err(|_| malformed())?;
    let parameters = argon2::Params::try_from(&hash).map_err(|_| malformed())?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(malformed());
    }
    let memory = parameters.m_cost();
    let work = u64::from(memory) * u64::from(parameters.t_cost());
    bounded("argon2", "memory (m, in KiB)", memory.into(), MAX_ARGON2_MEMORY.into())?;
    bounded("argon2", "memory times passes (m * t)", work, MAX_ARGON2_WORK)?;
    bounded("argon2", "lanes (p)", parameters.p_cost().into(), MAX_ARGON2_LANES.into())?;
    Ok(Hash::Argon2(Box::new(hash)))
}

#[cfg(test)]
pub(in crate::login) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const PASSWORD: &str = "correct horse";
    pub(crate) const BCRYPT: &str = "$2y$05$rtuzAmzXXIWMjEGXiCvZSuuEfa0VEnq7GdGoroa1Z/8R1k.NaL7nC";
    pub(crate) const APR1: &str = "$apr1$fHG2L.sF$RXhnzWWyaqvmIi76AldiO.";
    pub(crate) const SHA1: &str = "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=";

    /// Made by `htpasswd` 2.4.71, `openssl passwd` and Python's argon2-cffi.
    const ALL: [&str; 11] = [
        BCRYPT,
        APR1,
        SHA1,
        "$5$FLK4KBNqWFgwTOlg$xfsjDGmfCNnkKEa5bBNgMsPImKhgHLJbnxyyILA61PC",
        "$5$abcdefghijklmnop$eLlGDRRp0Ru9mPmgmlr4LXrFitzWX28EZT5eMNr5fN6",
        "$6$uKskjh13FOiD12OH$nJS/LzTTInMYcIhOrL5FFPhAvwsu7VNaM7TQBaCBffVu6Pl.YEfbGeiJFpyAnJj2ph4XMslOv7sG5Jf.3yTqw/",
        "$6$rounds=2000$d2UrD5qclcotS7yK$9tsfEMPgibiu6vvCCNc1W8oqP/bJ362SPcvJaUbMqhOQG7ejlTbMc.bHrAJrgQxHUcVpf/l7zU8pnk9bZVw5Z/",
        "$6$short$tXuYcoH0JOYfc12NhyivOw6a872/WP7cNZiSF6quW6VYyflEd1vlKEqlSmaFLWmjlxW80Upx0y2SUfEgavGR8/",
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$bIKRw3Ua1pluirFy81fnppmR01EnUxY3hLEBwbWxBG8",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$Y6cu/XQ7YdGg0QMNFVpW5Y60i83M9HaCbEeri6vNJ0k",
        "$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$a4l+k/YxA4LgY05jPMT3dSR7ACe1U/oRIWZO0QoUstk",
    ];

    #[test]
    fn what_other_programs_made_is_verified() {
        for text in ALL {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(PASSWORD.as_bytes()), "{text}");
            for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
                assert!(!hash.is_of(wrong.as_bytes()), "{text} {wrong:?}");
            }
        }
        let older = Hash::parse(&BCRYPT.replacen("$2y$", "$2a$", 1)).unwrap();
        assert!(older.is_of(PASSWORD.as_bytes()));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        for (text, expected) in [
            ("", HashError::Missing),
            ("secret", HashError::PlainText),
            ("$secret", HashError::PlainText),
            ("$new$scheme$", HashError::PlainText),
            ("{CLEAR}secret", HashError::PlainText),
            ("rqXexS6ZhobKA", HashError::PlainText),
            ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", HashError::Unsupported { scheme: "MD5-crypt ($1$)" }),
            ("$y$j9T$x$y", HashError::Unsupported { scheme: "yescrypt" }),
            ("$2y$10$short", HashError::Malformed { scheme: "bcrypt" }),
            ("$2y$1é$short", HashError::Malformed { scheme: "bcrypt" }),
            ("$apr1$salt", HashError::Malformed { scheme: "apr1" }),
            ("$apr1$saltsaltsalt$RXhnzWWyaqvmIi76AldiO.", HashError::Malformed { scheme: "apr1" }),
            ("{SHA}AAAA", HashError::Malformed { scheme: "SHA-1" }),
            ("$5$rounds=5$salt$x", HashError::Malformed { scheme: "SHA-crypt" }),
            ("$6$salt", HashError::Malformed { scheme: "SHA-crypt" }),
            ("$argon2id$v=19$m=64$x", HashError::Malformed { scheme: "argon2" }),
        ] {
            let error = Hash::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_would_cost_too_much_is_refused_before_it_is_tried() {
        let most = |text: &str| match Hash::parse(text).unwrap_err() {
            HashError::TooCostly { is, most, .. } => (is, most),
            other => panic!("{text}: {other}"),
        };
        assert_eq!(most(&BCRYPT.replacen("$05$", "$15$", 1)), (15, 14));
        assert_eq!(most(&BCRYPT.replacen("$05$", "$31$", 1)), (31, 14));
        assert_eq!(most("$6$rounds=999999999$salt$x"), (999_999_999, 500_000));
        let argon2 = |parameters: &str| ALL[8].replacen("m=64,t=1,p=1", parameters, 1);
        assert_eq!(most(&argon2("m=4194304,t=1,p=1")), (4_194_304, 262_144));
        assert_eq!(most(&argon2("m=65536,t=100,p=1")), (6_553_600, 1_048_576));
        assert_eq!(most(&argon2("m=65536,t=1,p=64")), (64, 16));
    }

    #[test]
    fn a_hash_shows_its_scheme_only() {
        assert_eq!(format!("{:?}", Hash::parse(BCRYPT).unwrap()), "bcrypt");
    }

    proptest! {
        #[test]
        fn any_text_is_a_hash_or_an_error(start in prop::sample::select(ALL.to_vec()), cut in 0usize..80, more: String) {
            let head: String = start.chars().take(cut).collect();
            if let Ok(hash) = Hash::parse(&format!("{head}{more}")) {
                let shown = format!("{hash:?}");
                prop_assert!(!shown.contains('$'));
            }
        }
    }
}
