//! The body of a form, as `application/x-www-form-urlencoded`.
//!
//! Strict where a browser never errs: an escape that is none, or bytes that are no UTF-8, refuse the whole form.
//! Of a field that comes twice the first counts, as in mod_auth_form.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use zeroize::Zeroizing;

/// The largest body of a form of ours, in bytes.
pub const MAX_FORM: usize = 8 << 10;

/// The fields of a form. Wiped when dropped: one of them is a password.
pub(super) struct Form(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl Form {
    pub(super) fn of(headers: &HeaderMap, body: &[u8]) -> Result<Self, FormError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormError::Type);
        }
        if body.len() > MAX_FORM {
            return Err(FormError::TooLarge);
        }
        Self::parse(body)
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, FormError> {
        text.split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let mut parts = pair.splitn(2, |byte| *byte == b'=');
                let mut part = || decode(parts.next().unwrap_or_default());
                Ok((part()?, part()?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first value of the field, or nothing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known.as_str() == name).map_or("", |(_, value)| value)
    }
}

/// Why a body is no form. The client is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error("A form is expected here: application/x-www-form-urlencoded.")]
    Type,
    #[error("A form of at most {MAX_FORM} bytes is expected here.")]
    TooLarge,
    #[error("The form holds an escape that is none: a % must be followed by two hexadecimal digits.")]
    Escape,
    #[error("The form holds bytes that are no text in UTF-8.")]
    Text,
}

impl FormError {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Type => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Escape | Self::Text => StatusCode::BAD_REQUEST,
        }
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<String>, FormError> {
    // Decoding never makes longer, so the buffer never moves and leaves no copy behind.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16));
                let (high, low) = (digit().ok_or(FormError::Escape)?, digit().ok_or(FormError::Escape)?);
                u8::try_from(high << 4 | low).map_err(|_| FormError::Escape)?
            }
            byte => *byte,
        });
    }
    String::from_utf8(std::mem::take(&mut decoded)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        FormError::Text
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).map_err(|error| error.to_string()).unwrap()
    }

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn fields_are_decoded_and_the_first_counts() {
        let form = form("user=ada+l&password=a%26b%3dc%2B&user=eve&&=x&empty=&bare&e=%C3%A9=%3D");
        for (name, value) in [
            ("user", "ada l"),
            ("password", "a&b=c+"),
            ("empty", ""),
            ("bare", ""),
            ("missing", ""),
            ("", "x"),
            ("e", "é=="),
        ] {
            assert_eq!(form.field(name), value, "{name}");
        }
    }

    #[test]
    fn bad_escapes_and_bad_text_refuse_the_form() {
        for bad in ["a=%", "a=%2", "a=%zz", "%=1", "a=%+1", "a=1&b=%g0"] {
            assert_eq!(Form::parse(bad.as_bytes()).err(), Some(FormError::Escape), "{bad}");
        }
        for bad in [&b"a=%ff"[..], b"a=\xff", b"%c3=1"] {
            assert_eq!(Form::parse(bad).err(), Some(FormError::Text));
        }
    }

    #[test]
    fn only_a_form_of_bounded_size_is_read() {
        assert!(Form::of(&headers("Application/X-WWW-Form-Urlencoded; charset=UTF-8"), b"a=1").is_ok());
        for kind in ["", "text/plain", "application/json", "multipart/form-data; boundary=x"] {
            assert_eq!(Form::of(&headers(kind), b"a=1").err(), Some(FormError::Type));
        }
        assert_eq!(Form::of(&HeaderMap::new(), b"").err(), Some(FormError::Type));
        let form = headers("application/x-www-form-urlencoded");
        assert!(Form::of(&form, &vec![b'a'; MAX_FORM]).is_ok());
        assert_eq!(Form::of(&form, &vec![b'a'; MAX_FORM + 1]).err(), Some(FormError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_a_browser_sends_is_what_was_typed(name in "[a-z]{1,8}", value: String) {
            let sent = format!("x=1&{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC));
            prop_assume!(name != "x");
            let form = form(&sent);
            prop_assert_eq!(form.field(&name), value);
        }

        #[test]
        fn any_bytes_are_a_form_or_an_error(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes);
        }
    }
}
