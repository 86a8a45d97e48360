//! What is asked, and the load that asks it again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use interop::raw::Connection;

use super::sites::Site;
use crate::error::{Error, Result};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    RestRead,
    RestUpdate,
    SoapRead,
    SoapUpdate,
}

impl Asked {
    pub(crate) const ALL: [Self; 4] = [Self::RestRead, Self::RestUpdate, Self::SoapRead, Self::SoapUpdate];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RestRead => "REST: read a session",
            Self::RestUpdate => "REST: change one attribute",
            Self::SoapRead => "SOAP: getAttributes",
            Self::SoapUpdate => "SOAP: setAttributes of one",
        }
    }

    /// So many times the portal's requests for the same CPU time, if that was promised.
    pub(crate) const fn target(self) -> Option<f64> {
        match self {
            Self::RestRead => Some(40.0),
            Self::RestUpdate => None,
            Self::SoapRead => Some(100.0),
            Self::SoapUpdate => Some(50.0),
        }
    }

    /// The request, whose change is another one each time.
    fn request(self, site: &dyn Site, connection: usize, number: usize) -> String {
        let (host, id) = (site.address(), site.session(connection));
        let head = format!("Host: {host}\r\n{}", site.proof());
        let rest = |method: &str, body: &str| {
            format!(
                "{method} /sessions/global/{id} HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let soap = |method: &str, arguments: &str| {
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope \
                 soap:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\" \
                 xmlns:namesp1=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\" \
                 xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
                 xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" \
                 xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
                 xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body><namesp1:{method}>\
                 <c-gensym3 xsi:type=\"xsd:string\">{id}</c-gensym3>{arguments}</namesp1:{method}></soap:Body></soap:Envelope>"
            );
            format!(
                "POST /adminSessions HTTP/1.1\r\n{head}Accept: text/xml\r\nContent-Type: text/xml; charset=utf-8\r\n\
                 SOAPAction: \"urn:Lemonldap/NG/Common/PSGI/SOAPService#{method}\"\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        match self {
            Self::RestRead => rest("GET", ""),
            Self::RestUpdate => rest("PUT", &format!("{{\"x\":\"{number}\"}}")),
            Self::SoapRead => soap("getAttributes", ""),
            Self::SoapUpdate => {
                soap("setAttributes", &format!("<c-gensym5><x xsi:type=\"xsd:int\">{number}</x></c-gensym5>"))
            }
        }
    }

    /// Whether an answer is one to this request.
    fn is_answered(self, body: &str) -> bool {
        match self {
            Self::RestRead => body.contains("\"uid\""),
            Self::RestUpdate => body.contains("\"result\":1"),
            Self::SoapRead => body.contains("<uid "),
            Self::SoapUpdate => body.contains(">1</result>"),
        }
    }
}

/// Connections that ask until they are told to end.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    pub(super) fn begin(site: &dyn Site, asked: Asked, connections: usize) -> Result<Self> {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = Vec::new();
        for client in 0..connections {
            // A request is prepared: what is measured is not this process, but it shares the machine.
            let requests: Vec<String> = (0..64).map(|turn| asked.request(site, client, turn)).collect();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let address = site.address();
            clients.push(thread::spawn(move || {
                let mut connection = Connection::open(address)?;
                let mut requests = requests.iter().cycle();
                while !stop.load(Ordering::Relaxed) {
                    let Some(request) = requests.next() else { break };
                    connection.send(request)?;
                    let answer = connection.response()?;
                    // A portal answers 400 now and then while another of its workers writes: that is no answer.
                    if answer.status == 200 && asked.is_answered(&answer.text()) {
                        answered.fetch_add(1, Ordering::Relaxed);
                    } else if answer.status != 400 {
                        let told = answer.text();
                        return Err(Error::Wrong {
                            row: asked.name(),
                            what: format!("{} {told}", answer.status),
                        });
                    }
                    if answer.header("connection").is_some_and(|told| told.eq_ignore_ascii_case("close")) {
                        connection = Connection::open(address)?;
                    }
                }
                Ok(())
            }));
        }
        Ok(Self { stop, answered, clients })
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().map_err(|_| Error::Load("a client of our own failed".to_owned()))??;
        }
        Ok(())
    }
}
