//! Answers, as they are written, and read again.

use proptest::prelude::*;
use session::Value;

use super::*;

const ENVELOPE_OF_ANSWERS: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?><soap:Envelope soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/" "#,
    r#"xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" "#,
    r#"xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Body>"#,
);

fn replying(method: &str) -> Replying {
    read_call(&format!("<namesp1:{method}/>")).unwrap().replying()
}

/// What stands in the response element.
fn payload(method: &str, answer: &Answer<'_>, charset: Charset) -> String {
    let message = String::from_utf8(answer.write(&replying(method), charset)).unwrap();
    let start = format!("<{method}Response xmlns=\"{SERVICE}\">");
    let (envelope, rest) = message.split_once(&start).unwrap();
    let is_plain = envelope == ENVELOPE_OF_ANSWERS;
    let map = ENVELOPE_OF_ANSWERS
        .replace(" xmlns:soap=", " xmlns:apachens=\"http://xml.apache.org/xml-soap\" xmlns:soap=");
    assert!(is_plain || envelope == map);
    let payload = rest.strip_suffix(&format!("</{method}Response></soap:Body></soap:Envelope>")).unwrap();
    assert_eq!(is_plain, !payload.contains("apachens:"));
    payload.to_owned()
}

fn attributes(values: &[(&str, Value)], charset: Charset) -> String {
    let values = values.iter().map(|(name, value)| (*name, value)).collect();
    payload("newSession", &Answer::Created(values), charset)
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| (*item).into()).collect())
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

#[test]
fn a_session_is_written_as_the_real_one_writes_it() {
    // captures/llng/soap, 03-getAttributes-admin.1.resp, byte for byte.
    let id = "c1e426a413a0306e4af7a488ea02c88359899bb10a8b4bef0aad649db43097c6";
    let values: [(&str, Value); 12] = [
        ("_password", "secret".into()),
        ("_session_id", id.into()),
        ("arr", list(&["a", "b"])),
        ("_session_kind", "SSO".into()),
        ("cn", "Döctor Wхо <&>\"'".into()),
        ("_whatToTrace", "dwho".into()),
        ("hash", map(&[("n", "1".into()), ("k", "v".into())])),
        ("num", "42".into()),
        ("empty", "".into()),
        ("_utime", "1795321143".into()),
        ("uid", "dwho".into()),
        ("groups", "users; timelords".into()),
    ];
    let answer = Answer::Session(Some(values.iter().map(|(name, value)| (*name, value)).collect()));
    let message = answer.write(&replying("getAttributes"), Charset::Octets);
    let cn = "D\u{c3}\u{b6}ctor W\u{d1}\u{85}\u{d0}\u{be} &lt;&amp;&gt;\"'";
    let expected = [
        ENVELOPE_OF_ANSWERS,
        "<getAttributesResponse xmlns=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\"><session>",
        "<error xsi:type=\"xsd:int\">0</error><attributes><_password xsi:type=\"xsd:string\">secret</_password>",
        "<_session_id xsi:type=\"xsd:string\">",
        id,
        "</_session_id><arr xsi:type=\"xsd:string\">a</arr><arr xsi:type=\"xsd:string\">b</arr>",
        "<_session_kind xsi:type=\"xsd:string\">SSO</_session_kind><cn xsi:type=\"xsd:string\">",
        cn,
        "</cn><_whatToTrace xsi:type=\"xsd:string\">dwho</_whatToTrace><hash><n xsi:type=\"xsd:string\">1</n>",
        "<k xsi:type=\"xsd:string\">v</k></hash><num xsi:type=\"xsd:string\">42</num>",
        "<empty xsi:type=\"xsd:string\" /><_utime xsi:type=\"xsd:string\">1795321143</_utime>",
        "<uid xsi:type=\"xsd:string\">dwho</uid><groups xsi:type=\"xsd:string\">users; timelords</groups>",
        "</attributes></session></getAttributesResponse></soap:Body></soap:Envelope>",
    ]
    .concat();
    assert_eq!(String::from_utf8(message).unwrap(), expected);
    assert_eq!(expected.len(), 1231, "the Content-Length of the capture");
}

#[test]
fn short_answers_are_those_of_the_real_one() {
    // captures/llng/soap, 02, 05, 20, 21, 36.
    let octets = Charset::Octets;
    assert_eq!(
        payload("setAttributes", &Answer::Result(true), octets),
        "<result xsi:type=\"xsd:int\">1</result>"
    );
    assert_eq!(
        payload("deleteSession", &Answer::Result(false), octets),
        "<result xsi:type=\"xsd:int\">0</result>"
    );
    assert_eq!(
        payload("getAttributes", &Answer::Session(None), octets),
        "<session><error xsi:type=\"xsd:int\">1</error></session>"
    );
    assert_eq!(
        payload("getCookies", &Answer::Cookies(Ok(vec![("lemonldap", "ab")])), octets),
        "<session><errorCode xsi:type=\"xsd:int\">0</errorCode><cookies><lemonldap \
         xsi:type=\"xsd:string\">ab</lemonldap></cookies></session>"
    );
    assert_eq!(
        payload("getCookies", &Answer::Cookies(Err(5)), octets),
        "<session><errorCode xsi:type=\"xsd:int\">5</errorCode><cookies /></session>"
    );
    assert_eq!(
        payload("getCipheredToken", &Answer::Text("odb+EA=="), octets),
        "<result xsi:type=\"xsd:string\">odb+EA==</result>"
    );
}

#[test]
fn maps_in_lists_have_the_types_that_the_real_one_guesses() {
    // captures/llng/soap, 25-getAttributes-real-ro.
    let login = |time: &str| map(&[("_utime", time.into()), ("ipAddr", "127.0.0.1".into())]);
    let history = map(&[("successLogin", Value::List(vec![login("1795321144"), login("1795321013")]))]);
    assert_eq!(
        attributes(&[("_loginHistory", history)], Charset::Octets),
        concat!(
            "<attributes><_loginHistory><successLogin><_utime xsi:type=\"xsd:int\">1795321144</_utime>",
            "<ipAddr xsi:type=\"xsd:string\">127.0.0.1</ipAddr></successLogin><successLogin><_utime ",
            "xsi:type=\"xsd:int\">1795321013</_utime><ipAddr xsi:type=\"xsd:string\">127.0.0.1</ipAddr>",
            "</successLogin></_loginHistory></attributes>"
        )
    );
}

#[test]
fn the_list_of_all_sessions_is_written_as_the_real_one_writes_it() {
    // captures/llng/soap, 40-gkfas-all.
    let login = |time: &str| map(&[("_utime", time.into()), ("ipAddr", "127.0.0.1".into())]);
    let values: [(&str, Value); 7] = [
        ("_startTime", "20261122041904".into()),
        ("authenticationLevel", "1".into()),
        ("cn", "Dö".into()),
        ("zero", "007".into()),
        ("arr", list(&["a", "b"])),
        ("empty", "".into()),
        ("_loginHistory", map(&[("successLogin", Value::List(vec![login("1"), login("2")]))])),
    ];
    let mut listing = Listing::new(replying("get_key_from_all_sessions"), Charset::Octets);
    listing.push("21f4", values.iter().map(|(name, value)| (*name, value)));
    listing.push("3322", std::iter::empty());
    let message = String::from_utf8(listing.finish()).unwrap();
    let (_, payload) = message.split_once("SOAPService\">").unwrap();
    assert_eq!(
        payload,
        concat!(
            "<result xsi:type=\"apachens:Map\"><item><key xsi:type=\"xsd:string\">21f4</key><value>",
            "<_startTime xsi:type=\"xsd:long\">20261122041904</_startTime>",
            "<authenticationLevel xsi:type=\"xsd:int\">1</authenticationLevel>",
            "<cn xsi:type=\"xsd:base64Binary\">RMO2</cn><zero xsi:type=\"xsd:string\">007</zero>",
            "<arr soapenc:arrayType=\"xsd:string[2]\" xsi:type=\"soapenc:Array\"><item xsi:type=\"xsd:string\">a</item>",
            "<item xsi:type=\"xsd:string\">b</item></arr><empty xsi:type=\"xsd:string\" /><_loginHistory>",
            "<successLogin soapenc:arrayType=\"xsd:anyType[2]\" xsi:type=\"soapenc:Array\"><item>",
            "<_utime xsi:type=\"xsd:int\">1</_utime><ipAddr xsi:type=\"xsd:string\">127.0.0.1</ipAddr></item><item>",
            "<_utime xsi:type=\"xsd:int\">2</_utime><ipAddr xsi:type=\"xsd:string\">127.0.0.1</ipAddr></item>",
            "</successLogin></_loginHistory></value></item><item><key xsi:type=\"xsd:string\">3322</key>",
            "<value></value></item></result></get_key_from_all_sessionsResponse></soap:Body></soap:Envelope>",
        )
    );
}

#[test]
fn what_the_plain_form_loses_has_another() {
    // spec/llng.md 12.8, 12.9 and 12.26.
    let octets = |value: &[(&str, Value)]| attributes(value, Charset::Octets);
    assert_eq!(
        octets(&[("x", "\u{1}A".into())]),
        "<attributes><x xsi:type=\"xsd:base64Binary\">AUE=</x></attributes>"
    );
    assert_eq!(
        octets(&[("1bad key", "v".into()), ("l", list(&["a", "b"]))]),
        concat!(
            "<attributes xsi:type=\"apachens:Map\"><item><key xsi:type=\"xsd:string\">1bad key</key>",
            "<value xsi:type=\"xsd:string\">v</value></item><item><key xsi:type=\"xsd:string\">l</key>",
            "<value soapenc:arrayType=\"xsd:string[2]\" xsi:type=\"soapenc:Array\"><item xsi:type=\"xsd:string\">a</item>",
            "<item xsi:type=\"xsd:string\">b</item></value></item></attributes>"
        )
    );
    assert_eq!(
        octets(&[("one", list(&["a"])), ("none", list(&[])), ("empty", map(&[]))]),
        concat!(
            "<attributes><one soapenc:arrayType=\"xsd:string[1]\" xsi:type=\"soapenc:Array\">",
            "<item xsi:type=\"xsd:string\">a</item></one>",
            "<none soapenc:arrayType=\"xsd:anyType[0]\" xsi:type=\"soapenc:Array\" />",
            "<empty xsi:type=\"apachens:Map\"></empty></attributes>"
        )
    );
}

#[test]
fn text_leaves_as_octets_or_as_text() {
    let values = [("t", Value::from("ö\r\n\t]]>")), ("b", Value::Bytes([0xe9].into()))];
    assert_eq!(
        attributes(&values, Charset::Octets),
        "<attributes><t xsi:type=\"xsd:string\">\u{c3}\u{b6}&#xd;\n\t]]&gt;</t><b xsi:type=\"xsd:string\">\u{e9}</b></attributes>"
    );
    assert_eq!(
        attributes(&values, Charset::Text),
        "<attributes><t xsi:type=\"xsd:string\">ö&#xd;\n\t]]&gt;</t><b xsi:type=\"xsd:base64Binary\">6Q==</b></attributes>"
    );
}

#[test]
fn a_fault_says_whose_it_is() {
    // captures/llng/soap, 38-gkfas-badtoken.
    let message = String::from_utf8(Fault::bad_token().write()).unwrap();
    assert_eq!(
        message,
        format!(
            "{ENVELOPE_OF_ANSWERS}<soap:Fault><faultcode>soap:Server.Custom</faultcode>\
             <faultstring>Bad token</faultstring></soap:Fault></soap:Body></soap:Envelope>"
        )
    );
    let message = String::from_utf8(Fault::not_authorized("<evil>").write()).unwrap();
    assert!(message.contains("<faultstring>&lt;evil&gt; is not an authorized function</faultstring>"));
}

#[test]
fn the_answer_is_in_the_namespace_of_the_call() {
    let namespace = "http://auth.example.com:8443/Lemonldap/NG/Common/PSGI/SOAPService";
    let call = read_call(&format!("<m:newSession xmlns:m=\"{namespace}\"/>")).unwrap();
    let message = Answer::Result(false).write(&call.replying(), Charset::Octets);
    let start = format!("<newSessionResponse xmlns=\"{namespace}\">");
    assert!(String::from_utf8(message).unwrap().contains(&start));
}

#[test]
fn the_description_names_cookies_attributes_and_methods() {
    let description =
        wsdl("https://auth.example.com/sessions?a&b", "lemonldap", ["uid", "_utime"].into_iter());
    for part in [
        "<element name=\"lemonldap\" type=\"xsd:string\"/>",
        "<element name=\"uid\" type=\"xsd:string\" nillable=\"true\"/>",
        "<wsdl:operation name=\"getAttributes\" parameterOrder=\"id\">",
        "<wsdlsoap:address location=\"https://auth.example.com/sessions?a&amp;b\"/>",
    ] {
        assert!(description.contains(part), "{part}");
    }
    // It is well-formed, and every end has its beginning: a reader of ours gets to the end of it.
    assert!(super::super::document::Document::read(&description).is_ok());
}

/// Any value that a session may hold.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().prop_map(Value::from),
        "[a-z0-9 <&>\r\n\t\u{1}öх-]{0,8}".prop_map(Value::from),
        "[+-]?[0-9]{1,12}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(Value::from_bytes),
    ];
    text.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z_]{1,3}|[ -~öх]{0,4}", inner, 0..4).prop_map(|map| Value::Map(
                map.into_iter().map(|(name, value)| (name.into(), value)).collect()
            )),
        ]
    })
}

proptest! {
    /// A client that reads a session and sends back all of it changes nothing, in either charset.
    #[test]
    fn what_is_read_and_sent_back_stays_as_it_is(value in any_value(), name in "[a-z]{1,3}|[ -~ö]{1,4}") {
        for charset in [Charset::Octets, Charset::Text] {
            let answer = Answer::Created(vec![(&*name, &value)]);
            let message = answer.write(&replying("newSession"), charset);
            let body = String::from_utf8(message).unwrap();
            // The answer, taken for a call.
            let body = body.replace("newSessionResponse", "newSession");
            let call = read(Some(""), Some("text/xml"), body.as_bytes()).unwrap();
            let Some(Received::Map(mut changes)) = call.arguments.into_iter().next() else { panic!("a map") };
            let (_, sent) = changes.remove(0);
            prop_assert!(changes.is_empty());
            prop_assert_eq!(sent.settle(Some(&value)), Some(value.clone()));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 1..200)) {
        let _ = read(Some(""), Some("text/xml"), &body);
    }
}
