//! A body of one GiB, to a visitor and from one: what it costs to pass it on, and how much of it is ever in memory.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde::Serialize;

use super::subject::Server;
use super::{Plan, ours, peers};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::spread::Spread;
use crate::usage::{CpuTime, Memory};

/// What asks for this alone, on the command line.
pub(super) const NAME: &str = "bodies";

/// How long a body is.
const LENGTH: u64 = 1 << 30;
/// How much is written and read at a time.
const BLOCK: usize = 64 << 10;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToVisitor,
    FromVisitor,
}

/// A server, and which way the body goes.
struct Case {
    id: &'static str,
    what: &'static str,
    way: Way,
    start: fn(SocketAddr) -> Result<Box<dyn Server>>,
}

const CASES: [Case; 4] = [
    Case { id: "nginx-download", what: "nginx, to a visitor", way: Way::ToVisitor, start: nginx },
    Case {
        id: "cloakroom-download",
        what: "**Cloakroom**, to a visitor",
        way: Way::ToVisitor,
        start: cloakroom,
    },
    Case { id: "nginx-upload", what: "nginx, from a visitor", way: Way::FromVisitor, start: nginx },
    Case {
        id: "cloakroom-upload",
        what: "**Cloakroom**, from a visitor",
        way: Way::FromVisitor,
        start: cloakroom,
    },
];

/// What a body costs.
#[derive(Debug, Serialize)]
pub(crate) struct Bodies {
    id: &'static str,
    what: &'static str,
    bytes: u64,
    cpu_seconds: Spread,
    /// The most that all processes of the server had resident.
    peak_bytes: Spread,
}

/// Measures each server in turn.
pub(super) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Vec<Bodies>> {
    let application = application()?;
    let mut measured: [Vec<(f64, f64)>; CASES.len()] = Default::default();
    for round in 1..=plan.few_rounds() {
        for (case, found) in CASES.iter().zip(&mut measured) {
            eprint!("a body of one GiB, round {round}: {} ... ", case.id);
            let one = measure_one(case, application)?;
            interrupt.check()?;
            eprintln!("{:.2} s of CPU", one.0);
            found.push(one);
        }
    }
    let bodies = |(case, found): (&Case, Vec<(f64, f64)>)| {
        Some(Bodies {
            id: case.id,
            what: case.what,
            bytes: LENGTH,
            cpu_seconds: Spread::of(found.iter().map(|one| one.0))?,
            peak_bytes: Spread::of(found.iter().map(|one| one.1))?,
        })
    };
    Ok(CASES.iter().zip(measured).filter_map(bodies).collect())
}

/// CPU seconds, and the peak of memory in bytes.
fn measure_one(case: &Case, application: SocketAddr) -> Result<(f64, f64)> {
    let server = (case.start)(application)?;
    let before = CpuTime::of(&server.process().group())?;
    let passed = match case.way {
        Way::ToVisitor => download(server.address()),
        Way::FromVisitor => upload(server.address()),
    };
    let passed = passed.map_err(Error::file("the body"))?;
    if passed != LENGTH {
        return Err(Error::Wrong { row: case.id, what: format!("of {LENGTH} bytes {passed} arrived") });
    }
    let used = CpuTime::of(&server.process().group())?.since(before).total();
    let peak = Memory::peak_of(&server.process().group())?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok((used.as_secs_f64(), peak as f64))
}

/// How many bytes came.
fn download(from: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect(from)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut stream = BufReader::with_capacity(BLOCK, stream);
    read_head(&mut stream)?;
    io::copy(&mut stream, &mut io::sink())
}

/// How many bytes the application says that it got.
fn upload(to: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect(to)?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    write_body(&mut stream)?;
    let mut stream = BufReader::new(stream);
    read_head(&mut stream)?;
    let mut told = String::new();
    stream.take(64).read_to_string(&mut told)?;
    told.trim().parse().map_err(io::Error::other)
}

/// An application that sends a long body to who asks for one, and counts what others send. It runs in this process until
/// its end, and is not counted.
fn application() -> Result<SocketAddr> {
    let socket = TcpListener::bind("127.0.0.1:0").map_err(Error::file("the application"))?;
    let address = socket.local_addr().map_err(Error::file("the application"))?;
    thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            // A visitor who leaves is seen by the visitor.
            thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(BLOCK, stream);
    let sent = read_head(&mut stream)?;
    if sent == 0 {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes())?;
        return write_body(stream.get_mut());
    }
    let got = io::copy(&mut stream.by_ref().take(sent), &mut io::sink())?.to_string();
    let length = got.len();
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{got}");
    stream.get_mut().write_all(text.as_bytes())
}

/// Reads to the empty line, and gives the length of the body that follows.
fn read_head(stream: &mut impl BufRead) -> io::Result<u64> {
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        line.clear();
    }
    Ok(length)
}

fn write_body(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(&mut BufReader::with_capacity(BLOCK, io::repeat(b'a').take(LENGTH)), stream).map(drop)
}

fn nginx(application: SocketAddr) -> Result<Box<dyn Server>> {
    // As bodies pass through Cloakroom: on their way at once, and never on the disk.
    let settings = "\
        client_max_body_size 0;\n\
        proxy_request_buffering off;\n\
        proxy_max_temp_file_size 0;\n";
    Ok(Box::new(peers::start_nginx(application, "", settings)?))
}

fn cloakroom(application: SocketAddr) -> Result<Box<dyn Server>> {
    Ok(Box::new(ours::start(application, "", ours::NONE)?))
}

/// The part of the page about them.
pub(super) fn section(measured: &[Bodies]) -> String {
    let mut section = String::new();
    if measured.is_empty() {
        return section;
    }
    section.push_str(
        "\n## A body of one GiB\n\n\
         In the clear, over one connection; passed on as it comes, by nginx too.\n\n\
         | server | CPU seconds | peak of resident MB |\n|---|---|---|\n",
    );
    for Bodies { what, cpu_seconds, peak_bytes, .. } in measured {
        // Writing to a text cannot fail.
        let _ = writeln!(
            section,
            "| {what} | {} | {:.1} |",
            cpu_seconds.shown(2),
            super::report::megabytes(*peak_bytes).median
        );
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_the_body_is() {
        let mut head = &b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\n\r\nbody"[..];
        assert_eq!(read_head(&mut head).unwrap(), 7);
        assert_eq!(head, b"body");
    }
}
