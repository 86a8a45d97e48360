//! `cloakroom store load`: the records of a dump into a storage service.
//!
//! A file is read to its end before anything is written: it must be whole, of this installation, and unchanged. How far it has
//! come stands in a small file beside the dump, so that it can go on there; but it may as well begin again.

mod one;

use std::fs;
use std::path::{Path, PathBuf};

use cache::COUNTERS;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use serde::{Deserialize, Serialize};
use session::Millis;
use storage::Version;

use self::one::{Done, one};
use super::lines::{Content, End, Line, Written};
use super::progress::Progress;
use super::reader::{self, Next, Reader};
use super::service::{Service, shown};
use super::{Place, Told, Which};

/// How many records are read before they are written, and how many bytes of them.
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 8 << 20;
/// How many are written at once.
const AT_ONCE: usize = 32;
/// How many conflicts are shown; all are counted.
const MAX_SHOWN: u64 = 20;

/// What is to be loaded, and where to.
#[derive(Debug, Args)]
pub(in crate::command) struct LoadOptions {
    #[command(flatten)]
    which: Which,
    /// The dump; without it, or with `-`, standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Go on where an earlier load of that file was broken off
    #[arg(long, requires = "from")]
    resume: bool,
    #[command(flatten)]
    told: Told,
}

/// What became of the records.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Tally {
    read: Written,
    created: u64,
    same: u64,
    newer: u64,
    ended: u64,
    expired: u64,
    tombstones: u64,
    renumbered: u64,
    conflicts: u64,
}

/// How far it has come, in a file beside the dump.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    dump: String,
    storage: String,
    offset: u64,
    tally: Tally,
}

pub(super) async fn load(options: &LoadOptions) -> miette::Result<()> {
    let service = Service::open(&options.which).await?;
    let place = Place::of(options.from.as_ref());
    let mut tally = Tally::default();
    let mut mark = None;
    let mut reader = match &place {
        Place::Standard => Reader::open(&place)?,
        Place::File(path) => {
            let (header, _) = reader::verify(path, &service.keys)?;
            let file = mark_of(path, &service.id);
            let found = if options.resume { Mark::read(&file) } else { None };
            let found = found.filter(|mark| mark.dump == header.dump && mark.storage == *service.id);
            let mut reader = Reader::open(&place)?;
            if let Some(found) = found {
                tally = found.tally;
                reader = reader::from(path, header, found.offset)?;
            }
            mark = Some(file);
            reader
        }
    };
    let progress = match &place {
        Place::File(path) => {
            let bytes = fs::metadata(path).map_or(0, |about| about.len());
            Progress::through(&options.told, "load", bytes)
        }
        Place::Standard => Progress::counting(&options.told, "load"),
    };
    let is_verified = mark.is_some();
    let end = loop {
        let (chunk, end) = chunk(&mut reader, &service, &mut tally.read)?;
        let count = chunk.len() as u64;
        write(&service, chunk, &mut tally).await?;
        match &mark {
            Some(file) => {
                // Not behind the end, where nothing is left to go on with.
                if end.is_none() {
                    let (dump, storage) = (reader.header().dump.clone(), service.id.to_string());
                    Mark { dump, storage, offset: reader.offset(), tally }.write(file)?;
                }
                progress.reach(reader.offset(), tally.read.records + tally.read.tombstones);
            }
            None => progress.advance(count),
        }
        if let Some(end) = end {
            break end;
        }
    };
    if !is_verified {
        reader.finish(&end, tally.read)?;
    }
    // Sessions and cookies may remember counters that were forgotten before the dump was made.
    let storage = service.storage();
    storage::begin_above(&*storage, COUNTERS, Version(end.counters), service.clock.now())
        .await
        .into_diagnostic()?;
    if let Some(file) = &mark {
        let _ = fs::remove_file(file);
    }
    drop(progress);
    tally.tell(&service.id, reader.header().made)
}

/// The next records, opened; and the end, if it is reached.
fn chunk(
    reader: &mut Reader,
    service: &Service,
    read: &mut Written,
) -> miette::Result<(Vec<Content>, Option<End>)> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
        let Next::Line(line) = reader.next()? else { return Err(reader.cut_off().into()) };
        match line {
            Line::Record(_) => read.records += 1,
            Line::Tombstone(_) => read.tombstones += 1,
            Line::Header(_) | Line::Checkpoint(_) | Line::End(_) => {}
        }
        match reader.content(line, &service.keys)? {
            Some(Content::End(end)) => return Ok((chunk, Some(end))),
            Some(content) => {
                if let Content::Live(_, record) = &content {
                    bytes += record.value.len();
                }
                chunk.push(content);
            }
            None => {}
        }
    }
    Ok((chunk, None))
}

async fn write(service: &Service, chunk: Vec<Content>, tally: &mut Tally) -> miette::Result<()> {
    let storage = service.storage();
    let now = service.clock.now();
    let mut done = stream::iter(chunk)
        .map(|content| {
            let storage = &storage;
            async move { one(&**storage, content, now).await }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(done) = done.next().await {
        tally.count(done.into_diagnostic().wrap_err("the load can go on with `--resume`, or begin again")?);
    }
    Ok(())
}

impl Tally {
    fn count(&mut self, done: Done) {
        match done {
            Done::Created => self.created += 1,
            Done::Renumbered => {
                self.created += 1;
                self.renumbered += 1;
            }
            Done::Same => self.same += 1,
            Done::Newer => self.newer += 1,
            Done::Ended => self.ended += 1,
            Done::Expired => self.expired += 1,
            Done::Buried => self.tombstones += 1,
            Done::Conflict(key) => {
                self.conflicts += 1;
                if self.conflicts <= MAX_SHOWN {
                    eprintln!("conflict: {} is another one here, and stays", shown(&key));
                }
            }
        }
    }

    fn tell(&self, id: &str, made: u64) -> miette::Result<()> {
        println!("The dump of {} is in the storage `{id}`:", super::stats::moment(Millis(made)));
        let rows = [
            (self.created, "created"),
            (self.tombstones, "ends that hold here from now on"),
            (self.same, "were there already"),
            (self.newer, "were there, and went on since"),
            (self.ended, "were ended here, and stay so"),
            (self.expired, "have expired"),
            (self.renumbered, "of those created got a later version: an earlier life of them had theirs"),
        ];
        for (count, what) in rows.iter().filter(|(count, _)| *count > 0) {
            println!("{count:>9} {what}");
        }
        match self.conflicts {
            0 => Ok(()),
            count => Err(miette!(
                help = "nothing was written over: end the ones that are wrong, and load again",
                "{count} records are others here than in the dump"
            )),
        }
    }
}

impl Mark {
    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// In the place of the one before, whole or not at all.
    fn write(&self, file: &Path) -> miette::Result<()> {
        let next = file.with_extension("next");
        let text = serde_json::to_vec(self).into_diagnostic()?;
        fs::write(&next, text)
            .and_then(|()| fs::rename(&next, file))
            .into_diagnostic()
            .wrap_err_with(|| format!("{} cannot be written", file.display()))
    }
}

fn mark_of(dump: &Path, id: &str) -> PathBuf {
    let mut name = dump.as_os_str().to_owned();
    name.push(format!(".{id}.progress"));
    name.into()
}
