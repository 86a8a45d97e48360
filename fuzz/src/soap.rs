//! Calls of LemonLDAP::NG's SOAP end points, and the sessions that they make.

use dialects::llng::soap::{Answer, Charset, MAX_BODY, Method, Refused, Request, read};
use dialects::llng::{Changes, Received};
use session::{MAX_DEPTH, Value};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    // captures/llng/soap, 02-setAttributes.
    br#"<?xml version="1.0" encoding="UTF-8"?><soap:Envelope soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/" xmlns:namesp1="urn:Lemonldap/NG/Common/PSGI/SOAPService" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Body><namesp1:setAttributes><c-gensym4 xsi:type="xsd:string">c1e4</c-gensym4><c-gensym6><empty xsi:type="xsd:string" /><_utime xsi:type="xsd:int">1795321143</_utime><undefd xsi:nil="true" /><cn xsi:type="xsd:base64Binary">RMO2Y3RvciBX0YXQviA8Jj4iJw==</cn><hash><n xsi:type="xsd:int">1</n><k xsi:type="xsd:string">v</k></hash><arr soapenc:arrayType="xsd:string[2]" xsi:type="soapenc:Array"><item xsi:type="xsd:string">a</item><item xsi:type="xsd:string">b</item></arr></c-gensym6></namesp1:setAttributes></soap:Body></soap:Envelope>"#,
    br#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns:m="http://xml.apache.org/xml-soap" xmlns:n="urn:Lemonldap/NG/Common/PSGI/SOAPService"><e:Body><n:newSession><a i:type="m:Map"><item><key>1 bad key</key><value i:type="boolean">TRUE</value></item></a></n:newSession></e:Body></e:Envelope>"#,
    br##"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n="urn:Lemonldap/NG/Common/PSGI/SOAPService"><e:Body><n:newSession><a><x href="#v"/><y href="#v"/></a></n:newSession><m id="v"><k>1</k><k>2</k></m></e:Body></e:Envelope>"##,
    br#"<?xml version="1.0"?><!DOCTYPE foo [<!ENTITY e SYSTEM "file:///etc/hostname">]><a>&e;</a>"#,
    br#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><t e:mustUnderstand="1"/></e:Header><e:Body/></e:Envelope>"#,
    b"<a><![CDATA[]]]]><![CDATA[>]]>&#x10ffff;&#0;&lt;</a>",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"<soap:Body>",
    b"<item>",
    b"<key>",
    b"<value>",
    b" xsi:type=\"xsd:base64Binary\"",
    b" xsi:type=\"xsd:boolean\"",
    b" xsi:type=\"apachens:Map\"",
    b" xsi:type=\"soapenc:Array\"",
    b" xsi:nil=\"true\"",
    b" href=\"#",
    b" id=\"",
    b" xmlns:x=\"",
    b"<![CDATA[",
    b"]]>",
    b"&#x",
    b"<!DOCTYPE ",
    b"newSession",
    b"http://xml.apache.org/xml-soap",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    match read(Some(""), Some("text/xml"), bytes) {
        Ok(call) => {
            assert!(std::str::from_utf8(bytes).is_ok());
            let (replying, method) = (call.replying(), call.method);
            match call.request() {
                Ok(Request::NewSession { changes } | Request::SetAttributes { changes, .. }) => {
                    a_session_of_it_comes_back(&changes);
                }
                Ok(_) => {}
                Err(fault) => is_read(&fault.write()),
            }
            let answer = Answer::Result(true).write(&replying, Charset::Octets);
            assert!(String::from_utf8(answer).is_ok_and(|answer| answer.contains(method.as_str())));
        }
        Err(Refused::Fault(fault)) => is_read(&fault.write()),
        Err(refused) => {
            assert!(bytes.is_empty() && refused == Refused::NoBody || bytes.len() > MAX_BODY);
        }
    }
}

/// Whether what we write is well-formed: our own reader gets as far as to find no method that it knows.
fn is_read(message: &[u8]) {
    let Err(Refused::Fault(fault)) = read(Some(""), Some("text/xml"), message) else { panic!("a call") };
    assert!(fault.text.starts_with("Failed to access class"), "{fault}");
}

/// What a call stores is bounded, and a client that reads it and sends it back changes nothing.
fn a_session_of_it_comes_back(changes: &Changes) {
    let stored: Vec<(Box<str>, Value)> = changes
        .iter()
        .filter_map(|(name, received)| Some((name.clone(), received.clone().settle(None)?)))
        .collect();
    assert!(stored.iter().all(|(_, value)| value.is_at_most(MAX_DEPTH)));
    for charset in [Charset::Octets, Charset::Text] {
        let sent = sent_back(&stored, charset);
        assert_eq!(sent.len(), stored.len());
        for ((_, sent), (name, value)) in sent.into_iter().zip(&stored) {
            assert_eq!(sent.settle(Some(value)).as_ref(), Some(value), "{name}");
        }
    }
}

/// What a client sends that has read a session.
fn sent_back(stored: &[(Box<str>, Value)], charset: Charset) -> Changes {
    let asking = concat!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>",
        "<newSession xmlns=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\"/></e:Body></e:Envelope>"
    );
    let call = read(Some(""), Some("text/xml"), asking.as_bytes()).expect("a call");
    assert_eq!(call.method, Method::NewSession);
    let answer = Answer::Created(stored.iter().map(|(name, value)| (&**name, value)).collect());
    let answer = String::from_utf8(answer.write(&call.replying(), charset)).expect("text");
    // The answer is made a call by its name; entries that are called so as well keep their sizes.
    let body = answer.replacen("<newSessionResponse xmlns", "<newSession xmlns", 1);
    let (body, end) = body.rsplit_once("</newSessionResponse>").expect("an end");
    let call = read(Some(""), Some("text/xml"), format!("{body}</newSession>{end}").as_bytes());
    match call.expect("what was written is read").arguments.into_iter().next() {
        Some(Received::Map(changes)) => changes,
        other => {
            assert!(stored.is_empty(), "{other:?}");
            Changes::new()
        }
    }
}
