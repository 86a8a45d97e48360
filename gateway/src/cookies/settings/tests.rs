use super::*;

fn check(change: impl FnOnce(&mut CookieSettings)) -> Result<(), CookieError> {
    let mut settings = CookieSettings::default();
    change(&mut settings);
    settings.check()
}

#[test]
fn the_default_is_taken_by_browsers() {
    assert_eq!(CookieSettings::default().check(), Ok(()));
}

#[test]
fn a_name_is_a_token() {
    for name in ["session", "a.b-c_d", "__Host-x"] {
        assert_eq!(check(|settings| settings.name = name.into()), Ok(()), "{name}");
    }
    for name in ["", "a b", "a=b", "a;b", "a,b", "é", "a\tb", "a\"", "(a)", "a/b"] {
        assert_eq!(check(|settings| settings.name = name.into()), Err(CookieError::Name(name.into())));
    }
}

#[test]
fn the_promises_of_a_prefix_are_kept_in_any_case() {
    for name in ["__Host-a", "__host-a", "__HOST-a", "__Secure-a", "__secure-a", "__Http-a", "__Host-Http-a"]
    {
        assert_eq!(
            check(|settings| (settings.name, settings.secure) = (name.into(), false)),
            Err(CookieError::PrefixNeedsSecure(name.into()))
        );
    }
    for (name, bound_to_host) in [
        ("__Host-a", true),
        ("__hOST-a", true),
        ("__Host-Http-a", true),
        ("__Secure-a", false),
        ("__Http-a", false),
    ] {
        let path = check(|settings| (settings.name, settings.path) = (name.into(), "/app".into()));
        let domain =
            check(|settings| (settings.name, settings.domain) = (name.into(), Some("example.org".into())));
        if bound_to_host {
            assert_eq!(path, Err(CookieError::PrefixNeedsRootPath(name.into())));
            assert_eq!(domain, Err(CookieError::PrefixForbidsDomain(name.into())));
        } else {
            assert_eq!((path, domain), (Ok(()), Ok(())));
        }
    }
    for (name, http_only) in [("__Http-a", true), ("__host-http-a", true), ("__Host-a", false)] {
        assert_eq!(
            check(|settings| (settings.name, settings.http_only) = (name.into(), false)).is_err(),
            http_only,
            "{name}"
        );
    }
}

#[test]
fn combinations_that_browsers_drop_are_errors() {
    let plain = |settings: &mut CookieSettings| (settings.name, settings.secure) = ("session".into(), false);
    assert_eq!(check(plain), Ok(()));
    let none = |settings: &mut CookieSettings| {
        plain(settings);
        settings.same_site = SameSite::None;
    };
    assert_eq!(check(none), Err(CookieError::SameSiteNoneNeedsSecure));
    let partitioned = |settings: &mut CookieSettings| {
        plain(settings);
        settings.partitioned = true;
    };
    assert_eq!(check(partitioned), Err(CookieError::PartitionedNeedsSecure));
    assert_eq!(check(|settings| settings.max_age = Some(Duration::ZERO)), Err(CookieError::MaxAgeZero));
    assert_eq!(
        check(|settings| settings.max_age = Some(Duration::from_millis(999))),
        Err(CookieError::MaxAgeZero)
    );
    assert_eq!(check(|settings| settings.max_age = Some(MAX_AGE)), Ok(()));
    assert_eq!(
        check(|settings| settings.max_age = Some(MAX_AGE + Duration::from_secs(1))),
        Err(CookieError::MaxAgeTooLong)
    );
}

#[test]
fn paths_and_domains_cannot_smuggle_attributes() {
    let set = |path: Option<&str>, domain: Option<&str>| {
        check(|settings| {
            settings.name = "session".into();
            settings.path = path.unwrap_or("/").into();
            settings.domain = domain.map(Into::into);
        })
    };
    let long = format!("/{}", "a".repeat(1024));
    for path in ["", "app", "/a;Domain=evil", "/a\r\nX: y", "/\0", "/é", "/a ", &long] {
        assert_eq!(set(Some(path), None), Err(CookieError::Path(path.into())));
    }
    for domain in [
        "",
        ".",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "::1",
        "a.b:80",
        "a..b",
        "a.b;Path=/",
        "a b.c",
        "-a.b",
        "bücher.example",
    ] {
        assert_eq!(set(None, Some(domain)), Err(CookieError::Domain(domain.into())));
    }
    for domain in ["example.org", ".example.org", "a.xn--bcher-kva.example"] {
        assert_eq!(set(Some("/a b/c"), Some(domain)), Ok(()));
    }
}
