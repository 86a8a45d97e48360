use proptest::prelude::*;

use super::*;

fn normal(path: &str) -> Result<String, PathError> {
    NormalPath::parse(path).map(|path| path.to_string())
}

#[test]
fn an_empty_path_is_not_forwarded_as_it_is() {
    let root = NormalPath::parse("").unwrap();
    assert!(root.as_str() == "/" && !root.is_unchanged());
}

#[test]
fn a_path_has_one_spelling() {
    for (path, expected) in [
        ("", "/"),
        ("/", "/"),
        ("*", "*"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61pp", "/app"),
        ("/%7Euser/%2d", "/~user/-"),
        ("//app", "/app"),
        ("/a///b//", "/a/b/"),
        ("/x/../app", "/app"),
        ("/x/%2e%2E/app", "/app"),
        ("/a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/a//../b", "/b"),
        ("/../../a", "/a"),
        ("/..", "/"),
        ("/a/..b/.c/...", "/a/..b/.c/..."),
        ("/a%2fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/a%3bb", "/a%3Bb"),
        ("/a;v=1/b", "/a;v=1/b"),
        ("/100%25", "/100%25"),
        ("/%c3%a9", "/%C3%A9"),
        ("/é", "/%C3%A9"),
        ("/%ff", "/%FF"),
        ("/a b|c\"d<e>^`{}[]", "/a%20b%7Cc%22d%3Ce%3E%5E%60%7B%7D%5B%5D"),
        ("/a:b@c!$&'()*+,=", "/a:b@c!$&'()*+,="),
    ] {
        assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for path in [
        "/static/..%2fadmin",
        "/static/%2e%2e%2fadmin",
        "/static/..%5cadmin",
        "/static/..%5Cadmin",
        "/static/..%252fadmin",
        "/static/%252e%252e/admin",
        "/static/%252e%252e%252fadmin",
        "/static/%25252e%25252e%25252fadmin",
        "/a%2F.%2Fb",
        "/a%2f..",
        "/static/..;/admin",
        "/static/..;x=1/admin",
        "/static/..%3b/admin",
        "/static/.;x/admin",
    ] {
        assert_eq!(normal(path), Err(PathError::HiddenDots), "{path}");
    }
}

#[test]
fn malformed_paths_are_refused_and_say_where() {
    for (path, expected) in [
        ("/a%00b", PathError::Control { at: 2 }),
        ("/a%1F", PathError::Control { at: 2 }),
        ("/%7f", PathError::Control { at: 1 }),
        ("/a\nb", PathError::Control { at: 2 }),
        ("/a\0", PathError::Control { at: 2 }),
        ("/a\\b", PathError::Backslash { at: 2 }),
        ("/%zz", PathError::Escape { at: 1 }),
        ("/a%2", PathError::Escape { at: 2 }),
        ("/a%", PathError::Escape { at: 2 }),
        ("/%%41", PathError::Escape { at: 1 }),
        ("/%+1", PathError::Escape { at: 1 }),
        ("a/b", PathError::NotAbsolute),
        ("**", PathError::NotAbsolute),
    ] {
        assert_eq!(normal(path), Err(expected), "{path:?}");
    }
}

#[test]
fn the_query_is_forwarded_untouched() {
    let path = NormalPath::parse("/a/../b").unwrap();
    assert!(!path.is_unchanged());
    assert_eq!(path.with_query(Some("x=%2e%2e/&y=//")).unwrap(), "/b?x=%2e%2e/&y=//");
    assert_eq!(path.with_query(None).unwrap(), "/b");
    assert_eq!(NormalPath::parse("*").unwrap().with_query(None).unwrap(), "*");
}

#[test]
fn a_normal_path_is_borrowed() {
    for path in ["/", "/a/b.c/", "/a%20b", "/.well-known/x", "/a%2Fb", "/a;b", "*"] {
        assert!(NormalPath::parse(path).unwrap().is_unchanged(), "{path}");
    }
    assert!(!NormalPath::parse("/%61").unwrap().is_unchanged());
}

/// Paths in which what matters is frequent.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", ".", "..", "%2e", "%2E", "%2f", "%5C", "%25", "25", "2e", ";", "%3B", "a", "B", "%61", "é",
        "%", "~", " ", "\\", "\0", "*", "%C3",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..24).prop_map(|pieces| format!("/{}", pieces.concat())),
        any::<String>()
    ]
}

proptest! {
    /// What is normal stays as it is, is borrowed, and can be forwarded.
    #[test]
    fn the_normal_form_is_the_end_of_it(path in paths()) {
        if let Ok(once) = NormalPath::parse(&path) {
            let again = NormalPath::parse(once.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), once.as_str());
            prop_assert!(once.with_query(None).is_ok());
        }
    }

    /// Nothing that reads the result finds a dot segment, an empty segment or a control character.
    #[test]
    fn nobody_finds_dots_in_the_normal_form(path in paths()) {
        if let Ok(path) = normal(&path) {
            prop_assert!(path == "*" || path.starts_with('/'));
            prop_assert!(!path.contains("//"));
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
            let mut read = path.into_bytes();
            for _ in 0..=LAYERS {
                for segment in read.split(|byte| matches!(byte, b'/' | b'\\')) {
                    let name = segment.split(|byte| *byte == b';').next().unwrap();
                    prop_assert!(name != b"." && name != b"..");
                }
                read = percent_decode(&read).collect();
            }
        }
    }
}
