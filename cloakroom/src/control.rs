//! Speaking to a Cloakroom that runs on this machine.
//!
//! It listens on a Unix socket in its data folder, which only its owner may open. Whoever connects sends one line of JSON
//! and reads one. A socket, and not a file with a number: it goes with the process, and the answer comes back on it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// No line is longer, in bytes.
pub const MAX_LINE: u64 = 1 << 20;

/// How long a command waits for its answer: a reload reads all the files that the configuration names.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// To read the configuration again and to go on by it.
    Reload {
        /// The file that the asker has in mind, absolute.
        configuration: PathBuf,
    },
    /// To hand over to the process that asks.
    TakeOver,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done {
        /// What was done, for people.
        text: String,
    },
    /// It was not done, and everything is as it was before.
    Refused {
        /// Why, for people.
        text: String,
    },
}

/// Nobody could be asked, or nobody answered.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ControlError {
    /// There is no socket, or nobody behind it.
    #[error("no Cloakroom runs with the data folder {}: {cause}", data_dir.display())]
    #[diagnostic(help(
        "`data_dir` is relative to the working directory: call this from the one in which Cloakroom was started, or make it \
         absolute in the configuration"
    ))]
    Nobody {
        /// The folder.
        data_dir: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Somebody is there and cannot be understood, or took too long.
    #[error("the running Cloakroom gave no answer: {0}")]
    #[diagnostic(help("its log may say more; what was asked may have been done or not"))]
    NoAnswer(#[source] io::Error),
}

/// Where the Cloakroom of a data folder listens.
#[must_use]
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Asks the Cloakroom that has this data folder, and waits for its answer.
pub fn ask(data_dir: &Path, request: &Request) -> Result<Answer, ControlError> {
    let nobody = |cause| ControlError::Nobody { data_dir: data_dir.to_owned(), cause };
    let stream = UnixStream::connect(socket(data_dir)).map_err(nobody)?;
    converse(stream, request).map_err(ControlError::NoAnswer)
}

fn converse(mut stream: UnixStream, request: &Request) -> io::Result<Answer> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
