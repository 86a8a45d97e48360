//! A message's headers from bytes: a line each.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The lines that can be values of `name`, as so many headers. The others never get to us: the HTTP library refuses them.
pub(crate) fn headers_of(name: &HeaderName, bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    headers
}

/// The lines `name: value` that can be headers.
pub(crate) fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii_start()))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// All values of a header, in order.
pub(crate) fn values<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}
