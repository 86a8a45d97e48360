//! SOAP as LemonLDAP::NG speaks it: calls of ten methods, their answers, faults, and the description of the service.
//!
//! A call is read with [`read`], which knows namespaces and not prefixes, refuses every document type, and is
//! bounded in every direction. [`Call::request`] says what it asks for. The answer is written in the form that LemonLDAP::NG's
//! own server writes, except where that form loses something: then in another one that its client reads.

mod answer;
mod call;
mod document;
mod fault;
mod request;
mod unfolding;
mod write;
mod wsdl;

pub use answer::{Answer, Attributes, Listing, Replying};
pub use call::{Call, MAX_BODY, Method, Refused, is_accepted, read};
pub use fault::{Code, Fault};
pub use request::{Request, Uri};
pub use write::Charset;
pub use wsdl::wsdl;

/// The content type of every answer, a fault as well.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// The namespace of the methods.
pub const SERVICE: &str = "urn:Lemonldap/NG/Common/PSGI/SOAPService";

/// The namespace of the maps whose keys need not be names of elements.
const MAPS: &str = "http://xml.apache.org/xml-soap";

/// The namespace of the envelope, version 1.1.
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The namespace of arrays.
const ENCODING: &str = "http://schemas.xmlsoap.org/soap/encoding/";

#[cfg(test)]
mod tests;
