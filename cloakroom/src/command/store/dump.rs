//! `cloakroom store dump`: the records of a storage service into a file.
//!
//! A dump that was broken off goes on behind its last checkpoint. It shows each record that was there all the time; what is
//! written meanwhile may be in it as it was before or after. So for a move nobody may use the storage from the beginning of the
//! dump to the end of the load: what is ended in between would be alive in the other one.

use std::path::PathBuf;

use cache::{COUNTERS, Kind};
use clap::Args;
use miette::{IntoDiagnostic as _, miette};
use session::Handle;
use storage::{Key, Scanned};

use super::lines::{FORMAT, Header, Line, VERSION};
use super::progress::Progress;
use super::service::{Service, shown};
use super::writer::{Found, Writer};
use super::{Place, Told, Which};

/// What is to be dumped, and where to.
#[derive(Debug, Args)]
pub(in crate::command) struct DumpOptions {
    #[command(flatten)]
    which: Which,
    /// The file to make; without it, or with `-`, standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Go on with the dump in that file, if it was broken off
    #[arg(long, requires = "to")]
    resume: bool,
    #[command(flatten)]
    told: Told,
}

pub(super) async fn dump(options: &DumpOptions) -> miette::Result<()> {
    let service = Service::open(&options.which).await?;
    let place = Place::of(options.to.as_ref());
    let (mut writer, mut cursor) = match &place {
        Place::File(path) if options.resume && path.exists() => {
            match Writer::resume(path, &service.id, &service.keys)? {
                Found::Part(writer, cursor) => (*writer, cursor),
                Found::Whole(written) => {
                    eprintln!(
                        "{} is whole: {} records, {} tombstones.",
                        path.display(),
                        written.records,
                        written.tombstones
                    );
                    return Ok(());
                }
            }
        }
        _ => (Writer::create(&place, header(&service)?)?, None),
    };
    let progress = Progress::counting(&options.told, "dump");
    progress.advance(writer.written().records + writer.written().tombstones);
    loop {
        let scan = service.scan(cursor.as_deref()).await?;
        let found = scan.found.len() as u64;
        // Which gateways use this storage is nothing that another one must know.
        for (key, scanned) in scan.found.into_iter().filter(|(key, _)| Kind::of(key) != Kind::Node) {
            write(&service, &mut writer, &key, scanned).await?;
        }
        progress.advance(found);
        cursor = scan.cursor;
        match &cursor {
            Some(cursor) => writer.checkpoint(cursor)?,
            None => break,
        }
    }
    // Last: no session that is in the dump remembers a later one.
    let storage = service.storage();
    let counters = storage::last_version(&*storage, COUNTERS, service.clock.now()).await.into_diagnostic()?;
    let written = writer.written();
    writer.finish(counters, &service.keys)?;
    drop(progress);
    eprintln!(
        "{} records and {} tombstones of `{}` are in the dump.",
        written.records, written.tombstones, service.id
    );
    if written.unreadable > 0 {
        return Err(miette!(
            help = "`cloakroom store check` says which, and why",
            "{} records could not be opened, and are not in the dump",
            written.unreadable
        ));
    }
    Ok(())
}

fn header(service: &Service) -> miette::Result<Header> {
    Ok(Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        dump: Handle::random().into_diagnostic()?.to_string(),
        made: service.clock.now().0,
        storage: service.id.to_string(),
        engine: service.engine.to_owned(),
    })
}

async fn write(service: &Service, writer: &mut Writer, key: &Key, scanned: Scanned) -> miette::Result<()> {
    let line = match scanned {
        Scanned::Buried(tombstone) => {
            Line::of_tombstone(key, &tombstone, writer.dump(), &service.keys).into_diagnostic()?
        }
        Scanned::Live(mut record) => {
            match service.opened(key, std::mem::take(&mut record.value)).await {
                Ok(value) => record.value = value,
                Err(error) => {
                    writer.leave_out();
                    eprintln!("left out: {}: {error}", shown(key));
                    return Ok(());
                }
            }
            Line::of_record(key, &record, writer.dump(), &service.keys).into_diagnostic()?
        }
    };
    writer.write(&line)
}
