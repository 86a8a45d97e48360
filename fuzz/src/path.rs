//! The path of a request: one spelling, in which nobody finds what was not judged.
//!
//! The first line of the input is the path, the second the prefix of a rule, the third a query.

use gateway::path::{NormalPath, Prefix};
use percent_encoding::percent_decode;

use crate::readers::{READERS, is_below};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"/a/b/../c/./d//e?x\n/a/c\nq=1",
    b"*\n/\n",
    b"\n\n",
    // What reached `/admin` past somebody's rules.
    b"/static/..%2fadmin\n/admin",
    b"/static/..;/admin\n/admin",
    b"/static/.%2e/admin\n/admin",
    b"/static/%252e%252e/admin\n/admin",
    b"/static/%25252e%25252e%252fadmin\n/admin",
    b"/static\\..\\admin\n/admin",
    b"/static/..%5cadmin\n/admin",
    b"/admin;x=1/y\n/admin",
    b"/x%2fadmin\n/x/admin",
    b"/%61dmin\n/admin",
    b"/admin/.\n/admin/",
    b"/admin%00.css\n/admin",
    b"/admin%\n/admin%zz",
    b"/..%c0%af..%c0%afadmin\n/\xc3\xa9",
    b"/a%3b/..%3b/b\n/a;/b",
    b"//evil.example/%2f%2fx\n//",
    b"/../../../etc/passwd\n/etc",
    b"/it's%27(x)!$&*+,=:@~\n/it%27s",
    b"/...%2e/.a/..a\n/..a",
    b"/x;%2Fy/admin%3Bz\n/x/admin",
    b"/%2561dmin\n/%252561dmin",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"/", b"..", b"%2e", b"%2E", b"%252e", b"%25252e", b"%2f", b"%252f", b"%5c", b"\\", b";", b"%3b",
    b"%253b", b"%00", b"%25", b"admin", b"\n",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, prefix, query) = (line(), line(), line());
    let Ok(normal) = NormalPath::parse(path) else { return };

    assert_eq!(normal.is_unchanged(), normal.as_str() == path);
    let again = NormalPath::parse(normal.as_str());
    assert_eq!(again.map(|again| again.is_unchanged()), Ok(true), "{path:?} has two normal forms");
    if normal.is_asterisk() {
        return assert_eq!(path, "*");
    }
    what_is_forwarded_is_one_path(&normal, query);
    nobody_finds_dots(normal.as_str());
    if let Ok(prefix) = Prefix::parse(prefix) {
        rules_hold_for_every_reader(&normal, &prefix);
    }
}

fn what_is_forwarded_is_one_path(normal: &NormalPath<'_>, query: &str) {
    let path = normal.as_str();
    assert!(
        path.starts_with('/') && !path.contains("//") && path.bytes().all(|byte| byte.is_ascii_graphic())
    );
    assert!(!path.contains(['\\', '?', '#', '"', '<', '>']));
    let target = normal.with_query(None).expect("a normal path can be forwarded");
    assert_eq!((target.path(), target.query()), (path, None));
    if let Ok(target) = normal.with_query(Some(query)) {
        assert_eq!(target.path(), path, "a query never becomes part of the path");
    }
}

/// Whoever decodes up to three times, takes `\` for `/` and cuts parameters off, still finds no dot segment, and no NUL
/// after decoding once.
fn nobody_finds_dots(path: &str) {
    let mut read = path.as_bytes().to_vec();
    for layer in 0..=3 {
        for segment in read.split(|byte| matches!(byte, b'/' | b'\\')) {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            assert!(!matches!(name, b"." | b".."), "{path:?} hides dots behind {layer} layers");
        }
        read = percent_decode(&read).collect();
        assert!(layer > 0 || !read.iter().any(u8::is_ascii_control));
    }
}

/// What some application would read as a path below the prefix is below it for a rule that protects; what a rule
/// excepts is below it literally.
fn rules_hold_for_every_reader(path: &NormalPath<'_>, prefix: &Prefix) {
    let literally = is_below(path.as_str().as_bytes(), prefix.as_str().as_bytes());
    assert_eq!(prefix.holds(path), literally);
    assert_eq!(path.is_below(prefix), prefix.holds(path));
    for read in READERS {
        if is_below(&read(path.as_str()), &read(prefix.as_str())) {
            assert!(prefix.may_hold(path), "{path} is read below {}", prefix.as_str());
        }
    }
}
