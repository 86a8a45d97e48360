//! The first form of a page, filled in by hand: what a browser does, without one.

use interop::raw::{self, Response};
use std::net::SocketAddr;

/// A form: where it goes, and its fields with what they hold.
#[derive(Debug)]
pub(crate) struct Form {
    action: String,
    fields: Vec<(String, String)>,
    /// What the page set on the way: cookies that belong to the form's token.
    cookies: Vec<String>,
}

impl Form {
    /// The first form of the page.
    pub(crate) fn of(page: &Response) -> Self {
        let text = page.text();
        let form = text.split("<form").nth(1).expect("the page has a form");
        let form = form.split("</form>").next().unwrap();
        let fields = form.split("<input").skip(1).map(|input| {
            let tag = input.split('>').next().unwrap();
            (attribute(tag, "name").unwrap(), attribute(tag, "value").unwrap_or_default())
        });
        let cookies = page.all("set-cookie").into_iter().filter_map(|line| line.split(';').next());
        Self {
            action: attribute(form.split('>').next().unwrap(), "action").expect("the form has an action"),
            fields: fields.collect(),
            cookies: cookies.map(str::to_owned).collect(),
        }
    }

    /// Types into a field that is there.
    pub(crate) fn fill(mut self, name: &str, text: &str) -> Self {
        let field = self.fields.iter_mut().find(|(field, _)| field == name);
        field.unwrap_or_else(|| panic!("there is no field {name}")).1 = text.to_owned();
        self
    }

    /// Sends it with that cookie beside those that came with the form.
    pub(crate) fn send(&self, address: SocketAddr, cookie: &str) -> Response {
        self.send_to(address, &address.to_string(), cookie)
    }

    /// The same to a host of that name.
    pub(crate) fn send_to(&self, address: SocketAddr, host: &str, cookie: &str) -> Response {
        let body: Vec<String> =
            self.fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let body = body.join("&");
        let cookies: Vec<&str> =
            self.cookies.iter().map(String::as_str).chain((!cookie.is_empty()).then_some(cookie)).collect();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nAccept: text/html\r\n\r\n{body}",
            self.action,
            if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) },
            body.len(),
        );
        raw::exchange(address, request).unwrap()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    // What the templates escape in attributes.
    let plain =
        [("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&amp;", "&")];
    Some(plain.into_iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to)))
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
