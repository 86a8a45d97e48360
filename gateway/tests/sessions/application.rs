//! An application that answers as a test says, and remembers what it was asked.
//!
//! It speaks HTTP by hand, so that it can also say what no library would: interim answers, trailers, nonsense.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The header by which a request says which answer it gets. No gateway of ours touches it.
pub(crate) const SCRIPT: &str = "x-script";

/// What the application answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    interim: String,
    headers: String,
    body: String,
    trailers: String,
    gate: Option<Gate>,
    fault: Option<Fault>,
}

/// How an application fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It closes the connection without a word.
    HangsUp,
    /// It says something that is no HTTP.
    TalksNonsense,
    /// It takes longer than anybody waits.
    Sleeps,
}

/// An answer with this update header.
pub(crate) fn update(text: &str) -> Answer {
    status(200).update(text)
}

/// An answer with this status.
pub(crate) fn status(status: u16) -> Answer {
    Answer {
        status,
        interim: String::new(),
        headers: String::new(),
        body: "the application".to_owned(),
        trailers: String::new(),
        gate: None,
        fault: None,
    }
}

/// No answer, but this.
pub(crate) fn failing(fault: Fault) -> Answer {
    Answer { fault: Some(fault), ..status(200) }
}

impl Answer {
    pub(crate) fn update(self, text: &str) -> Self {
        self.header("X-Replace-Session", text)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// The answer comes after this one, which is not the last word.
    pub(crate) fn after_interim(mut self, status: &str, headers: &str) -> Self {
        self.interim += &format!("HTTP/1.1 {status}\r\n{headers}\r\n");
        self
    }

    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers += &format!("{name}: {value}\r\n");
        self
    }

    /// The answer waits there.
    pub(crate) fn held_at(self, gate: &Gate) -> Self {
        Self { gate: Some(gate.clone()), ..self }
    }

    fn text(&self, is_head: bool) -> String {
        let Self { status, interim, headers, body, trailers, .. } = self;
        let head = format!("{interim}HTTP/1.1 {status} Scripted\r\n{headers}");
        let has_body = !is_head && !matches!(status, 100..=199 | 204 | 304);
        match status {
            100..=199 | 204 | 304 => format!("{head}\r\n"),
            _ if !trailers.is_empty() => {
                format!(
                    "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n{trailers}\r\n",
                    body.len()
                )
            }
            _ => {
                let shown = if has_body { &**body } else { "" };
                format!("{head}Content-Length: {}\r\n\r\n{shown}", body.len())
            }
        }
    }
}

/// What the application saw of a request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which application.
    pub(crate) by: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    /// The only value of a header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| &**value);
        assert!(values.next().is_none(), "{name} came more than once");
        value
    }

    /// The names of all headers whose letters are these, whatever stands between them.
    pub(crate) fn spellings(&self, name: &str) -> Vec<&str> {
        let letters = |name: &str| name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let names = self.headers.iter().map(|(name, _)| &**name);
        names.filter(|known| letters(known) == letters(name)).collect()
    }
}

/// A place where answers wait until a test lets them go.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until so many requests have come to it.
    pub(crate) async fn arrivals(&self, count: u32) {
        self.arrived.acquire_many(count).await.unwrap().forget();
    }

    pub(crate) fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS >> 1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        drop(self.open.acquire().await.unwrap());
    }
}

/// What the applications of a test will answer, and what they saw.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    latest: AtomicU64,
    answers: Mutex<HashMap<String, Answer>>,
    seen: Mutex<HashMap<String, Seen>>,
}

impl Scripts {
    /// The name of a request that will be answered so.
    pub(crate) fn add(&self, answer: Answer) -> String {
        let name = self.latest.fetch_add(1, Ordering::Relaxed).to_string();
        self.answers.lock().insert(name.clone(), answer);
        name
    }

    /// What the application saw of the request of this name, if it was asked.
    pub(crate) fn seen(&self, name: &str) -> Option<Seen> {
        self.seen.lock().remove(name)
    }
}

/// Serves an application of this name for as long as the test runs.
pub(crate) fn serve(listener: TcpListener, name: String, scripts: Arc<Scripts>) {
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (name, scripts) = (name.clone(), Arc::clone(&scripts));
            tokio::spawn(async move {
                // A gateway that hangs up is what some tests are about.
                let _ = serve_connection(socket, &name, &scripts).await;
            });
        }
    });
}

async fn serve_connection(socket: TcpStream, name: &str, scripts: &Scripts) -> Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let (method, seen) = read(&mut socket, name).await?;
        let script = seen.header(SCRIPT).unwrap_or_default().to_owned();
        let answer = scripts.answers.lock().remove(&script).unwrap_or_else(|| status(200));
        scripts.seen.lock().insert(script, seen);
        if let Some(gate) = &answer.gate {
            gate.pass().await;
        }
        match answer.fault {
            None => socket.write_all(answer.text(method == "HEAD").as_bytes()).await?,
            Some(Fault::HangsUp) => return Ok(()),
            Some(Fault::TalksNonsense) => return socket.write_all(b"\x15\x03\x01 what?\r\n\r\n").await,
            Some(Fault::Sleeps) => tokio::time::sleep(Duration::from_secs(600)).await,
        }
        if answer.status == 101 {
            return Ok(());
        }
    }
}

async fn read(socket: &mut BufReader<TcpStream>, name: &str) -> Result<(String, Seen)> {
    let mut line = String::new();
    if socket.read_line(&mut line).await? == 0 {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    let mut parts = line.split(' ');
    let method = parts.next().unwrap_or_default().to_owned();
    let target = parts.next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        socket.read_until(b'\n', &mut line).await?;
        // Cookies may hold bytes that are no text; each stands for a character here.
        let line: String = line.iter().map(|byte| char::from(*byte)).collect();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let seen = Seen { by: name.to_owned(), target, headers };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    socket.read_exact(&mut vec![0; length]).await?;
    Ok((method, seen))
}
