//! What a visitor presents: one ticket has one spelling, and none of it shows but the handle.

use session::{Handle, MalformedTicket, Ticket};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"000102030405060708090a0b0c0d0e0f.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    // Unused bits that are not zero, padding, and the other alphabet: the same bytes in another spelling.
    b"000102030405060708090a0b0c0d0e0f.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
    b"000102030405060708090a0b0c0d0e0f.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=",
    b"000102030405060708090a0b0c0d0e0f.+/ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    b"000102030405060708090A0B0C0D0E0F.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    b"000102030405060708090a0b0c0d0e0f.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
    b"000102030405060708090a0b0c0d0e0.fAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    b".",
    b"000102030405060708090a0b0c0d0e0f",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[b".", b"0", b"f", b"A", b"_", b"-", b"=", b"+"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!((handle.to_string(), format!("{handle:?}")), (text.to_owned(), text.to_owned()));
        assert_eq!(Handle::from_bytes(*handle.as_bytes()), handle);
    }
    let ticket = match text.parse::<Ticket>() {
        Ok(ticket) => ticket,
        Err(error) => {
            let is_whole = text.len() == Ticket::TEXT_BYTES && is_ticket(text);
            assert!(!is_whole, "{text} was refused");
            // It says nothing of this text: there is only one.
            return assert_eq!(error, MalformedTicket);
        }
    };
    assert_eq!(ticket.expose(), text, "two spellings");
    assert!(is_ticket(text));
    let secret = text.split('.').nth(1).unwrap_or_default();
    let shown = format!("{ticket:?} {:?} {:?}", ticket.secret, ticket.secret.hash());
    assert!(!shown.contains(secret) && !shown.contains(&format!("{:?}", ticket.secret.expose())));
    assert_eq!(ticket.secret.hash(), ticket.secret.hash());
}

/// 32 hexadecimal digits, a dot, and 43 characters of which the last has two bits to spare, both zero.
fn is_ticket(text: &str) -> bool {
    let Some((handle, secret)) = text.split_once('.') else { return false };
    let last_is_whole = secret.chars().last().is_some_and(|last| "AEIMQUYcgkosw048".contains(last));
    handle.len() == 32
        && handle.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && last_is_whole
}
