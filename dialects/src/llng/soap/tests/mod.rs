//! Messages as they were captured between real clients and a real portal (spec/llng.md 2, captures/llng/soap and soapraw),
//! and what must hold for others.

mod answers;
mod calls;
mod hostile;
mod perl;
mod requests;

use super::*;
use crate::llng::Received;

/// The envelope that the real client writes around a call.
fn sent(call: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope \
         soap:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:apachens=\"http://xml.apache.org/xml-soap\" \
         xmlns:namesp1=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body>{call}</soap:Body></soap:Envelope>"
    )
    .into_bytes()
}

fn read_call(call: &str) -> Result<Call, Refused> {
    read(Some(""), Some("text/xml; charset=utf-8"), &sent(call))
}

/// The text of the fault that a message is answered with.
fn fault(outcome: Result<Call, Refused>) -> Fault {
    match outcome {
        Err(Refused::Fault(fault)) => fault,
        Err(refused) => panic!("{refused}"),
        Ok(call) => panic!("{call:?}"),
    }
}

/// What a value that is sent as this element is.
fn value(element: &str) -> Received {
    let call = read_call(&format!("<namesp1:newSession>{element}</namesp1:newSession>")).unwrap();
    let [value] = <[_; 1]>::try_from(call.arguments).unwrap();
    value
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}
