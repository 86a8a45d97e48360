//! How applications read a path: what any of them takes for the path of a rule is held to that rule.
//!
//! A rule names what is found under a URL. So a reader is asked twice, for the URL of the rule and for that of the request,
//! and never compares what it has decoded with what another one has not: nobody finds `/%2561` under the URL of `/%252561`,
//! neither who decodes (`/%61`, `/%2561`) nor who does not. What is decoded twice in a row is beyond rules, as the book says.

use percent_encoding::percent_decode;

/// What an application takes a path for, in bytes.
pub(crate) type Reader = fn(&str) -> Vec<u8>;

/// Of each kind one: what is written; with escapes decoded; with parameters cut off; cut off after decoding, before it as
/// servlet containers do, and before and after, as where one servlet forwards to another.
pub(crate) const READERS: [Reader; 6] = [
    |path| merged(path.as_bytes()),
    |path| merged(&decoded(path.as_bytes())),
    |path| merged(&cut(path.as_bytes())),
    |path| merged(&cut(&merged(&decoded(path.as_bytes())))),
    |path| merged(&decoded(&cut(path.as_bytes()))),
    |path| merged(&cut(&merged(&decoded(&cut(path.as_bytes()))))),
];

/// By whole segments.
pub(crate) fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn decoded(path: &[u8]) -> Vec<u8> {
    percent_decode(path).collect()
}

/// Without the parameters of each segment.
fn cut(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let names: Vec<&[u8]> =
        segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default()).collect();
    names.join(&b'/')
}

/// With `/` for `\`, and one slash where several are.
fn merged(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    merged.dedup_by(|one, before| *one == b'/' && *before == b'/');
    merged
}
