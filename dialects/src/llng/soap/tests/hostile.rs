//! Messages that mean no good.

use session::MAX_DEPTH;

use super::*;

fn is_malformed(body: &[u8]) -> bool {
    let fault = fault(read(Some(""), Some("text/xml"), body));
    fault.code == Code::Client && fault.text.starts_with("Application failed during request deserialization")
}

#[test]
fn no_document_type_is_read() {
    // captures/llng/soapraw, 12-xxe and 13-billion-laughs; spec/llng.md 12.10.
    let body = String::from_utf8(sent("<namesp1:newSession><a><x>&e;</x></a></namesp1:newSession>")).unwrap();
    for declared in [
        "<!DOCTYPE foo [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>",
        "<!DOCTYPE foo [<!ENTITY a \"a\"><!ENTITY e \"&a;&a;&a;&a;\">]>",
        "<!DOCTYPE foo SYSTEM \"http://example.com/dtd\">",
        "<!DOCTYPE soap:Envelope>",
        "<!doctype foo>",
    ] {
        assert!(is_malformed(body.replace("?>", &format!("?>{declared}")).as_bytes()), "{declared}");
    }
    assert!(is_malformed(body.as_bytes()), "an entity that nobody declared");
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let whole = String::from_utf8(sent("<namesp1:newSession><a>1</a></namesp1:newSession>")).unwrap();
    let ones = [
        // captures/llng/soapraw, 06-badxml and 23-utf16.
        "<a><b>".to_owned(),
        "\u{fffe}".to_owned() + &whole,
        String::new() + " ",
        "no markup".to_owned(),
        whole.replace("<a>", "<a x=\"1\" x=\"2\">"),
        whole.replace("<a>", "<a x>"),
        whole.replace("<a>1</a>", "<a>1</b>"),
        whole.replace("<a>1</a>", "<un:bound>1</un:bound>"),
        whole.replace("<a>", "<a xsi:type=\"un:bound\">"),
        whole.replace('1', "\u{1}"),
        whole.replace(">1<", ">&#1;<"),
        whole.replace(">1<", ">&#xffff;<"),
        whole.replace(">1<", ">&#xd800;<"),
        whole.replace("UTF-8", "ISO-8859-1"),
        whole.clone() + &whole,
        whole.clone() + "more",
    ];
    for body in ones {
        assert!(is_malformed(body.as_bytes()), "{body}");
    }
    assert!(is_malformed(b"\xff\xfe<?xml version=\"1.0\"?>"));
    assert!(is_malformed(&whole.as_bytes()[..whole.len() - 1]));
}

#[test]
fn values_are_as_deep_as_any_and_no_deeper() {
    let nested = |levels: usize, tag: (&str, &str), inner: &str| {
        format!("<a><x>{}{inner}{}</x></a>", tag.0.repeat(levels), tag.1.repeat(levels))
    };
    let item = ("<m xsi:type=\"apachens:Map\"><item><key>k</key><value>", "</value></item></m>");
    let list = ("<item soapenc:arrayType=\"xsd:anyType[1]\">", "</item>");
    for (tag, each) in [(("<m>", "</m>"), 1), (list, 1), (item, 2)] {
        // What stands around the innermost text: as many levels as fit, one of them the element `x` itself.
        let fits = (MAX_DEPTH - 1) / each;
        for inner in ["1", "<k xsi:type=\"xsd:base64Binary\">AQ==</k>"].iter().take(each) {
            let Received::Map(mut attributes) = value(&nested(fits, tag, inner)) else { panic!("a map") };
            let stored = attributes.remove(0).1.settle(None).unwrap();
            assert!(stored.is_at_most(MAX_DEPTH), "{}", tag.0);
        }
        let deep = nested(MAX_DEPTH + 1, tag, "1");
        let call = read_call(&format!("<namesp1:newSession>{deep}</namesp1:newSession>"));
        assert!(fault(call).text.contains("deep"), "{}", tag.0);
    }
    let bottomless = "<a>".repeat(100_000);
    assert!(fault(read_call(&format!("<namesp1:newSession>{bottomless}"))).text.contains("deep"));
}

#[test]
fn there_are_so_many_elements_attributes_arguments_and_bytes_and_no_more() {
    let call = |inner: &str| read_call(&format!("<namesp1:newSession>{inner}</namesp1:newSession>"));
    assert!(fault(call(&format!("<a>{}</a>", "<b/>".repeat(1 << 16)))).text.contains("65536 elements"));
    let attributes: String = (0..100).map(|number| format!(" a{number}=\"\"")).collect();
    assert!(fault(call(&format!("<a{attributes}/>"))).text.contains("64 attributes"));
    let declared: String = (0..60).map(|number| format!(" xmlns:a{number}=\"x\"")).collect();
    let declared: String = (0..30).map(|level| format!("<a{level}{declared}>")).collect();
    assert_eq!(fault(call(&declared)).code, Code::Client);
    assert!(fault(call(&"<a/>".repeat(9))).text.contains("8 arguments"));
    let large = vec![b' '; MAX_BODY + 1];
    assert_eq!(read(Some(""), Some("text/xml"), &large).unwrap_err(), Refused::TooLarge);
}

#[test]
fn references_do_not_unfold_without_bound() {
    let laughs: String = (1..12)
        .map(|level| {
            format!("<l id=\"l{level}\">{}</l>", format!("<x href=\"#l{}\"/>", level - 1).repeat(10))
        })
        .collect();
    let call = format!(
        "<namesp1:newSession><a href=\"#l11\"/></namesp1:newSession><l id=\"l0\">{}</l>{laughs}",
        "ha".repeat(100)
    );
    assert!(fault(read_call(&call)).text.contains("unfold"));
    let circle = "<namesp1:newSession><a id=\"c\"><x href=\"#c\"/></a></namesp1:newSession>";
    assert!(fault(read_call(circle)).text.contains("deep"));
}

#[test]
fn what_is_of_no_type_is_refused() {
    for bad in [
        "<a xsi:type=\"xsd:base64Binary\">*</a>",
        "<a xsi:type=\"xsd:hexBinary\">0</a>",
        "<a xsi:type=\"apachens:Map\"><item><value>v</value></item></a>",
        "<a xsi:type=\"apachens:Map\"><item><key><k/></key></item></a>",
    ] {
        assert_eq!(
            fault(read_call(&format!("<namesp1:newSession>{bad}</namesp1:newSession>"))).code,
            Code::Client
        );
    }
}

#[test]
fn a_header_that_must_be_understood_is_not() {
    let header = |flag: &str| {
        let body = String::from_utf8(sent("<namesp1:newSession/>")).unwrap();
        let header = format!(
            "<soap:Header><t xmlns=\"urn:t\" soap:mustUnderstand=\"{flag}\"/></soap:Header><soap:Body>"
        );
        read(Some(""), Some("text/xml"), body.replace("<soap:Body>", &header).as_bytes())
    };
    assert_eq!(fault(header("1")).code, Code::MustUnderstand);
    assert_eq!(header("0").unwrap().method, Method::NewSession);
}
