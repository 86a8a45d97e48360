//! The certificate that a client has shown, in words that others can read.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The longest subject that is told, in bytes. Half of one would be somebody else's.
const MAX_SUBJECT: usize = 2048;

/// A client's certificate. It was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it is made out to, as RFC 4514 writes it, in visible ASCII: `CN=ada,OU=engines,O=Example`. `None` where that
    /// is nobody, or longer than 2048 bytes.
    pub subject: Option<Box<str>>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: Box<str>,
}

impl ClientCertificate {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut fingerprint = String::with_capacity(64);
        for byte in digest(&SHA256, certificate).as_ref() {
            push_hexadecimal(*byte, &mut fingerprint);
        }
        let subject = X509Certificate::from_der(certificate)
            .ok()
            .map(|(_, certificate)| written(certificate.subject()))
            .filter(|subject| !subject.is_empty() && subject.len() <= MAX_SUBJECT);
        Self { subject: subject.map(String::into_boxed_str), fingerprint: fingerprint.into() }
    }
}

/// RFC 4514, section 2: the last part first.
fn written(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let name = short_name(attribute.attr_type());
    let mut written = format!("{name}=");
    match attribute.as_str() {
        Ok(value) => push_escaped(value, &mut written),
        Err(_) => {
            written.push('#');
            attribute.as_slice().iter().for_each(|byte| push_hexadecimal(*byte, &mut written));
        }
    }
    written
}

fn short_name(kind: &Oid<'_>) -> String {
    oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned)
}

/// RFC 4514, section 2.4. What is not visible ASCII is escaped as well: a header takes nothing else.
fn push_escaped(value: &str, written: &mut String) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => written.extend(['\\', char::from(byte)]),
            b' ' | b'#' if index == 0 => written.extend(['\\', char::from(byte)]),
            b' ' if index == last => written.push_str("\\ "),
            b' '..=b'~' => written.push(char::from(byte)),
            _ => {
                written.push('\\');
                push_hexadecimal(byte, written);
            }
        }
    }
}

fn push_hexadecimal(byte: u8, text: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(text, "{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_pass_for_another_part_of_the_name() {
        for (value, expected) in [
            ("ada", "ada"),
            ("ada,CN=root", "ada\\,CN=root"),
            ("a+b\"<c>;\\", "a\\+b\\\"\\<c\\>\\;\\\\"),
            (" # ", "\\ #\\ "),
            ("#1", "\\#1"),
            ("J\u{fc}rg\r\nX: 1", "J\\c3\\bcrg\\0d\\0aX: 1"),
        ] {
            let mut written = String::new();
            push_escaped(value, &mut written);
            assert_eq!(written, expected);
        }
    }
}
