//! What calls ask for.

use super::*;

const ID: &str = "c1e426a413a0306e4af7a488ea02c88359899bb10a8b4bef0aad649db43097c6";

fn request(call: &str) -> Result<Request, Fault> {
    read_call(call).unwrap().request()
}

fn message(call: &str) -> String {
    request(call).unwrap_err().text.into()
}

fn arguments(method: &str, arguments: &[&str]) -> String {
    let arguments: String =
        arguments.iter().map(|argument| format!("<a xsi:type=\"xsd:string\">{argument}</a>")).collect();
    format!("<namesp1:{method}>{arguments}</namesp1:{method}>")
}

#[test]
fn arguments_are_taken_by_their_place() {
    let id = ID.parse().ok();
    assert_eq!(
        request(&arguments("getAttributes", &[ID])).unwrap(),
        Request::GetAttributes { id: id.clone() }
    );
    assert_eq!(
        request(&arguments("deleteSession", &[ID])).unwrap(),
        Request::DeleteSession { id: id.clone() }
    );
    let cookies =
        Request::GetCookies { user: Some("dwho".into()), password: Some("pw".into()), id: id.clone() };
    assert_eq!(request(&arguments("getCookies", &["dwho", "pw", ID])).unwrap(), cookies);
    assert_eq!(format!("{cookies:?}"), "GetCookies", "no password is shown");
    assert_eq!(
        request(&arguments("getCookies", &["dwho"])).unwrap(),
        Request::GetCookies { user: Some("dwho".into()), password: None, id: None }
    );
    let uri = Uri { host: "test1.example.com".into(), path: "/".into() };
    assert_eq!(
        request(&arguments("isAuthorizedURI", &[ID, "http://test1.example.com/"])).unwrap(),
        Request::IsAuthorizedUri { id: id.clone(), uri }
    );
    let Request::SetAttributes { changes, .. } =
        request(&format!("<namesp1:setAttributes><a>{ID}</a><b><uid>x</uid></b></namesp1:setAttributes>"))
            .unwrap()
    else {
        panic!("setAttributes")
    };
    assert!(changes == [("uid".into(), text("x"))]);
    assert_eq!(
        request("<namesp1:error><a>5</a><b>en</b></namesp1:error>").unwrap(),
        Request::Error { code: 5 }
    );
}

#[test]
fn what_can_be_nobodys_id_is_no_error() {
    // captures/llng/soap, 06-getAttributes-badid: it is answered as an unknown one.
    assert_eq!(
        request(&arguments("getAttributes", &["../../etc/passwd"])).unwrap(),
        Request::GetAttributes { id: None }
    );
}

#[test]
fn what_is_missing_is_said_as_the_real_one_says_it() {
    // captures/llng/soap, 29, 31, 33, 47, 49; soapraw, 19 and 20.
    assert_eq!(message("<namesp1:getAttributes xsi:nil=\"true\" />"), "id is required");
    assert_eq!(message("<namesp1:setAttributes xsi:nil=\"true\" />"), "id is required");
    assert_eq!(message("<namesp1:deleteSession><a/></namesp1:deleteSession>"), "id parameter is required");
    assert_eq!(message("<namesp1:isAuthorizedURI/>"), "id is required");
    assert_eq!(message(&arguments("isAuthorizedURI", &[ID])), "uri is required");
    assert_eq!(message(&arguments("isAuthorizedURI", &[ID, "notauri"])), "Bad uri");
    assert_eq!(message(&arguments("setAttributes", &[ID])), "the attributes are required");
    assert_eq!(message(&arguments("newSession", &["x"])), "the attributes must be a map");
    assert_eq!(
        message(&arguments("getMenuApplications", &[ID])),
        "Failed to locate method (getMenuApplications)"
    );
    assert_eq!(request("<namesp1:newSession/>").unwrap(), Request::NewSession { changes: Vec::new() });
    assert_eq!(
        request("<namesp1:newSession><a/></namesp1:newSession>").unwrap(),
        Request::NewSession { changes: Vec::new() }
    );
}

#[test]
fn the_list_of_all_sessions_is_asked_for_in_three_forms() {
    let list = |rest: &str| {
        request(&format!(
            "<namesp1:get_key_from_all_sessions><a>T</a>{rest}</namesp1:get_key_from_all_sessions>"
        ))
        .unwrap()
    };
    let asked = |names: Option<&[&str]>| Request::GetKeyFromAllSessions {
        token: Some("T".into()),
        names: names.map(|names| names.iter().map(|name| (*name).into()).collect()),
    };
    assert_eq!(list(""), asked(None));
    assert_eq!(list("<b>uid</b>"), asked(Some(&["uid"])));
    assert_eq!(
        list("<b soapenc:arrayType=\"x\"><i>uid</i><i>_utime</i></b>"),
        asked(Some(&["uid", "_utime"]))
    );
}

#[test]
fn an_address_has_a_host_and_a_path_and_nothing_hidden() {
    let parts = |text| Uri::parse(text).map(|uri| (uri.host.into_string(), uri.path.into_string()));
    for (text, host, path) in [
        ("http://Test1.Example.com", "test1.example.com", "/"),
        ("https://a.example:8443/x?y#z", "a.example", "/x?y#z"),
        ("http://a.example?x", "a.example", "/?x"),
    ] {
        assert_eq!(parts(text), Some((host.into(), path.into())), "{text}");
    }
    for bad in [
        "notauri",
        "ftp://a/",
        "http://",
        "http:///x",
        "http://u:p@a/",
        "http://a\\b/",
        "http://a b/",
        "http://a/\n",
    ] {
        assert_eq!(parts(bad), None, "{bad:?}");
    }
}
