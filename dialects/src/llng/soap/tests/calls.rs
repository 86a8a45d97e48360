//! Calls, as they are read.

use super::*;

const ID: &str = "c1e426a413a0306e4af7a488ea02c88359899bb10a8b4bef0aad649db43097c6";

#[test]
fn a_call_of_the_real_client_is_read() {
    // captures/llng/soap, 03-getAttributes-admin, byte for byte.
    let body = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><soap:Envelope soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/" "#,
        r#"xmlns:namesp5="urn:Lemonldap/NG/Common/PSGI/SOAPService" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" "#,
        r#"xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" "#,
        r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Body><namesp5:getAttributes>"#,
        r#"<c-gensym9 xsi:type="xsd:string">c1e426a413a0306e4af7a488ea02c88359899bb10a8b4bef0aad649db43097c6</c-gensym9>"#,
        r#"</namesp5:getAttributes></soap:Body></soap:Envelope>"#,
    );
    let action = "\"urn:Lemonldap/NG/Common/PSGI/SOAPService#getAttributes\"";
    let call = read(Some(action), Some("text/xml; charset=utf-8"), body.as_bytes()).unwrap();
    assert_eq!(call.method, Method::GetAttributes);
    assert_eq!(&*call.namespace, SERVICE);
    assert_eq!(call.arguments, [text(ID)]);
    assert_eq!(format!("{call:?}"), "Call(getAttributes, 1 arguments)", "no id is shown");
}

#[test]
fn the_action_may_be_quoted_plain_or_empty_and_must_be_the_method() {
    // captures/llng/soapraw, 02, 03 and 03b.
    let body = sent("<namesp1:newSession/>");
    let read = |action| read(Some(action), Some("application/soap+xml"), &body);
    for action in ["", "\"\"", "urn:Lemonldap/NG/Common/PSGI/SOAPService#newSession"] {
        assert_eq!(read(action).unwrap().method, Method::NewSession, "{action}");
    }
    assert_eq!(
        &*fault(read("\"urn:foo#bar\"")).text,
        "SOAPAction shall match 'uri#method' if present (got 'urn:foo#bar', expected \
         'urn:Lemonldap/NG/Common/PSGI/SOAPService#newSession')"
    );
    assert_eq!(super::read(None, Some("text/xml"), &body).unwrap_err(), Refused::NotSoap);
    assert_eq!(super::read(Some(""), Some("text/xml"), b"").unwrap_err(), Refused::NoBody);
}

#[test]
fn only_xml_in_utf_8_is_read() {
    // captures/llng/soapraw, 07-badctype, 08-soap12-ctype and 23-utf16.
    for good in ["text/xml", "Text/XML; charset=\"UTF-8\"", "application/soap+xml; action=x"] {
        assert!(is_accepted(good), "{good}");
    }
    let body = sent("<namesp1:newSession/>");
    for bad in ["application/json", "", "text/xml; charset=utf-16", "multipart/related", "text/xmlx"] {
        let fault = fault(read(Some(""), Some(bad), &body));
        assert!(fault.text.starts_with("Content-Type must be 'text/xml'"), "{bad}");
        assert_eq!(fault.code, Code::Client);
    }
}

#[test]
fn what_a_prefix_stands_for_counts_and_not_the_prefix() {
    let body = r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header/><e:Body>
        <getAttributes xmlns="urn:Lemonldap/NG/Common/PSGI/SOAPService"
            xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:b="http://www.w3.org/2001/XMLSchema">
            <whatever i:type="b:base64Binary">YWI=</whatever></getAttributes></e:Body></e:Envelope>"#;
    let call = read(Some(""), Some("text/xml"), body.as_bytes()).unwrap();
    assert_eq!(call.arguments, [Received::Octets((*b"ab").into())]);
    // With the same prefixes, and other namespaces.
    let other = body.replace("schemas.xmlsoap.org/soap/envelope/", "example.com/");
    assert_eq!(fault(read(Some(""), Some("text/xml"), other.as_bytes())).code, Code::VersionMismatch);
    let other = body.replace("2001/XMLSchema-instance", "2007/XMLSchema-instance");
    let call = read(Some(""), Some("text/xml"), other.as_bytes()).unwrap();
    assert_eq!(call.arguments, [text("YWI=")]);
}

#[test]
fn the_namespace_may_be_that_of_the_service_or_an_address_of_it() {
    // spec/llng.md 2.1: `soapProxyUrn` and the default of `remoteGlobalStorageOptions`.
    let read = |namespace: &str| {
        let body = sent(&format!("<m:getCipheredToken xmlns:m=\"{namespace}\"/>"));
        read(Some(&format!("\"{namespace}#getCipheredToken\"")), Some("text/xml"), &body)
    };
    for good in [SERVICE, "http://auth.example.com/Lemonldap/NG/Common/PSGI/SOAPService"] {
        let call = read(good).unwrap();
        assert_eq!((call.method, &*call.namespace), (Method::GetCipheredToken, good));
        assert_eq!(call.arguments, []);
    }
    // captures/llng/soapraw, 04-wrong-ns and 22-class-injection.
    for bad in
        ["urn:other", "urn:Lemonldap/NG/Common/Conf", "http://x/y/Lemonldap/NG/Common/PSGI/SOAPService"]
    {
        assert!(fault(read(bad)).text.starts_with("Failed to access class"), "{bad}");
    }
}

#[test]
fn a_method_that_nobody_has_is_not_authorized() {
    let fault = fault(read_call("<namesp1:fooBar><a>5</a></namesp1:fooBar>"));
    assert_eq!((fault.code, &*fault.text), (Code::Server, "fooBar is not an authorized function"));
    for method in Method::ALL {
        let call = read_call(&format!("<namesp1:{0} xsi:nil=\"true\" />", method.as_str())).unwrap();
        assert_eq!(call.method, method);
    }
}

#[test]
fn of_two_methods_the_first_is_called() {
    // captures/llng/soapraw, 18-two-methods.
    let call = read_call("<namesp1:newSession/><namesp1:deleteSession/>").unwrap();
    assert_eq!(call.method, Method::NewSession);
}

#[test]
fn every_form_of_a_value_that_the_real_client_sends_is_read() {
    // captures/llng/soap, 02-setAttributes, and spec/llng.md 2.5.
    let sent = value(concat!(
        r#"<c-gensym6><empty xsi:type="xsd:string" /><groups xsi:type="xsd:string">users; timelords</groups>"#,
        r#"<_utime xsi:type="xsd:int">1795321143</_utime><undefd xsi:nil="true" />"#,
        r#"<cn xsi:type="xsd:base64Binary">RMO2Y3RvciBX0YXQviA8Jj4iJw==</cn>"#,
        r#"<hash><n xsi:type="xsd:int">1</n><k xsi:type="xsd:string">v</k></hash>"#,
        r#"<arr soapenc:arrayType="xsd:string[2]" xsi:type="soapenc:Array"><item xsi:type="xsd:string">a</item>"#,
        r#"<item xsi:type="xsd:string">b</item></arr>"#,
        r#"<one soapenc:arrayType="xsd:string[1]" xsi:type="soapenc:Array"><item xsi:type="xsd:string">a</item></one>"#,
        r#"<start xsi:type="xsd:long">20261122041904</start><rate xsi:type="xsd:float">1.50</rate>"#,
        r#"<day xsi:type="xsd:date">2026-01-02</day><at xsi:type="xsd:dateTime">2026-01-02T03:04:05</at>"#,
        r#"<home xsi:type="xsd:anyURI">http://x/?a&amp;b</home><on xsi:type="xsd:boolean">true</on>"#,
        r#"<odd xsi:type="apachens:Map"><item><key xsi:type="xsd:string">1 bad key</key>"#,
        r#"<value xsi:type="xsd:string">v</value></item></odd><none /></c-gensym6>"#,
    ));
    let list = |items: &[&str]| Received::List(items.iter().map(|item| text(item)).collect());
    let map = |pairs: &[(&str, &str)]| {
        Received::Map(pairs.iter().map(|(name, value)| ((*name).into(), text(value))).collect())
    };
    let expected = [
        ("empty", text("")),
        ("groups", text("users; timelords")),
        ("_utime", text("1795321143")),
        ("undefd", Received::Nil),
        ("cn", Received::Octets("Döctor Wхо <&>\"'".as_bytes().into())),
        ("hash", map(&[("n", "1"), ("k", "v")])),
        ("arr", list(&["a", "b"])),
        ("one", list(&["a"])),
        ("start", text("20261122041904")),
        ("rate", text("1.50")),
        ("day", text("2026-01-02")),
        ("at", text("2026-01-02T03:04:05")),
        ("home", text("http://x/?a&b")),
        ("on", Received::Boolean(true)),
        ("odd", map(&[("1 bad key", "v")])),
        ("none", Received::Empty),
    ];
    let Received::Map(sent) = sent else { panic!("a map") };
    for ((name, sent), (expected_name, expected)) in sent.iter().zip(&expected) {
        assert_eq!(&**name, *expected_name);
        assert!(sent == expected, "{name}");
    }
    assert_eq!(sent.len(), expected.len());
}

#[test]
fn an_array_is_one_by_its_name_its_type_or_its_kind_of_items() {
    // captures/llng/soap, 45-gkfas-2keys.
    let items = "<item xsi:type=\"xsd:string\">uid</item><item>_utime</item>";
    for (start, end) in [
        (
            "<soapenc:Array soapenc:arrayType=\"xsd:string[2]\" xsi:type=\"soapenc:Array\">",
            "</soapenc:Array>",
        ),
        ("<soapenc:Array>", "</soapenc:Array>"),
        ("<a soapenc:arrayType=\"xsd:string[2]\">", "</a>"),
        ("<a xsi:type=\"soapenc:Array\">", "</a>"),
    ] {
        let sent = value(&format!("{start}{items}{end}"));
        assert!(sent == Received::List(vec![text("uid"), text("_utime")]), "{start}");
    }
    let repeated = value("<a><k>1</k><x>0</x><k>2</k><k>3</k></a>");
    let list = Received::List(vec![text("1"), text("2"), text("3")]);
    assert!(repeated == Received::Map(vec![("k".into(), list), ("x".into(), text("0"))]));
}

#[test]
fn a_value_that_lies_elsewhere_is_found() {
    let call = read_call(
        "<namesp1:newSession><a><x href=\"#v\"/><y href=\"#v\"/></a></namesp1:newSession>\
         <multi id=\"v\"><k xsi:type=\"xsd:string\">1</k></multi>",
    )
    .unwrap();
    let held = || Received::Map(vec![("k".into(), text("1"))]);
    assert!(call.arguments == [Received::Map(vec![("x".into(), held()), ("y".into(), held())])]);
    for lost in ["<a href=\"#nowhere\"/>", "<a href=\"http://x/\"/>", "<a id=\"b\" href=\"#b\"/>"] {
        let call = read_call(&format!("<namesp1:newSession>{lost}</namesp1:newSession>"));
        assert!(fault(call).text.contains("href"), "{lost}");
    }
}

#[test]
fn text_is_what_xml_says_it_is() {
    assert!(value("<a>&lt;&#xe9;&#13;\r\n<![CDATA[<&]]><!-- no -->\u{fc}</a>") == text("<é\r\n<&ü"));
    assert!(value("<a xsi:type=\"xsd:hexBinary\">00fF</a>") == Received::Octets([0, 0xff].into()));
    assert!(value("<a xsi:type=\"xsd:base64Binary\"> AQ\n ID </a>") == Received::Octets([1, 2, 3].into()));
    assert!(value("<a xsi:type=\"xsd:boolean\">yes</a>") == text("yes"));
}
