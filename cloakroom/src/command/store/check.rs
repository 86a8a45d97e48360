//! `cloakroom store check`: whether a storage service does what it should, and whether each record in it is what it should be.

mod findings;

use std::time::Instant;

use bytes::Bytes;
use cache::Kind;
use clap::Args;
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use session::{Ending, Handle, Millis, Why};
use storage::{
    Burial, Create, Key, NewRecord, NotOpened, Read, Record, Scanned, Sealed, Times, Version, WriteId,
};

use self::findings::{Findings, Problem};
use super::index::check_index;
use super::progress::Progress;
use super::service::Service;
use super::{Told, Which};

/// How long the record of the probe may stay, should this process die before it has removed it.
const PROBE_LIVES: std::time::Duration = std::time::Duration::from_secs(60);
/// How far clocks of nodes may differ before a time is called one of the future.
const SKEW: std::time::Duration = std::time::Duration::from_secs(300);

/// What is to be checked.
#[derive(Debug, Args)]
pub(in crate::command) struct CheckOptions {
    #[command(flatten)]
    which: Which,
    /// Compare which sessions are whose with the sessions instead, and mend what differs, while gateways go on
    ///
    /// Entries of the index that are missing are written, and those that have no session are removed. Says how many.
    #[arg(long)]
    index: bool,
    #[command(flatten)]
    told: Told,
}

pub(super) async fn check(options: &CheckOptions) -> miette::Result<()> {
    if options.index {
        return check_index(&options.which, &options.told).await;
    }
    let service = Service::open(&options.which).await?;
    introduce(&service);
    probe(&service).await?;
    let findings = verify(&service, &options.told).await?;
    print!("{}", findings.as_text(&service.keys.ring()));
    match findings.problems() {
        0 => Ok(()),
        count => Err(miette!(
            help = "records that cannot be read are never taken for a logout: whoever comes with such a session gets 503 until \
                    the cause is gone or the record has expired",
            "{count} problems in the storage `{}`",
            service.id
        )),
    }
}

/// What it is.
fn introduce(service: &Service) {
    let can = service.storage().capabilities();
    let says = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
    let sealed = service.sealed.as_ref().map_or("not sealed", |_| "sealed");
    println!(
        "storage  `{}`: {}, {}, {}, values of up to {} bytes, {sealed}",
        service.id,
        service.engine,
        says(can.is_durable, "durable", "not durable: a crash may lose what was acknowledged"),
        says(can.is_shared, "shared by nodes", "of one node"),
        can.max_value,
    );
    println!("program  {}, records of version {}", env!("CARGO_PKG_VERSION"), session::record::FORMAT);
}

/// Writes, reads and ends a record of its own, and says how long that took.
async fn probe(service: &Service) -> miette::Result<()> {
    let storage = service.storage();
    let name = format!("probe {}", Handle::random().into_diagnostic()?);
    let key = Key::new("probe", name.as_bytes()).into_diagnostic()?;
    let now = service.clock.now();
    let times = Times { touched: now, expires: now.plus(PROBE_LIVES) };
    let value = Bytes::from_static(b"a probe of `cloakroom store check`");
    let failed = |what| move || format!("the storage `{}` does not {what}", service.id);
    let began = Instant::now();
    let new = NewRecord::new(value.clone(), times, WriteId::random().into_diagnostic()?);
    let created = storage.create(&key, new).await.into_diagnostic().wrap_err_with(failed("write"))?;
    let written = began.elapsed();
    let began = Instant::now();
    let read = storage.read(&key, None).await.into_diagnostic().wrap_err_with(failed("read"))?;
    let read_in = began.elapsed();
    let began = Instant::now();
    let ending = Ending::new(now, Why::Revoked, "probe");
    let burial = Burial { until: None, ending, expected: None };
    storage.bury(&key, burial).await.into_diagnostic().wrap_err_with(failed("end a record"))?;
    let ended = began.elapsed();
    let after = storage.read(&key, None).await.into_diagnostic().wrap_err_with(failed("read"))?;
    let is_kept = matches!(&read, Read::Found(record) if record.value == value && record.times == times);
    if !matches!(created, Create::Created(_)) || !is_kept || after != Read::Absent {
        return Err(miette!(
            help = "somebody else writes into this storage, or the server does not keep what it acknowledges",
            "the storage `{}` does not give back what was written into it",
            service.id
        ));
    }
    let shown = |took: std::time::Duration| format!("{:.1} ms", took.as_secs_f64() * 1000.0);
    println!("probe    written in {}, read in {}, ended in {}", shown(written), shown(read_in), shown(ended));
    Ok(())
}

/// Looks at each record.
async fn verify(service: &Service, told: &Told) -> miette::Result<Findings> {
    let progress = Progress::counting(told, "check");
    let mut findings = Findings::default();
    let now = service.clock.now();
    service
        .each(async |page| {
            progress.advance(page.len() as u64);
            for (key, scanned) in page {
                match scanned {
                    Scanned::Live(record) => live(service, &mut findings, &key, record, now).await,
                    Scanned::Buried(tombstone) => {
                        findings.see_tombstone(Kind::of(&key));
                        if tombstone.ending.at > now.plus(SKEW) {
                            findings.note(Problem::Future, &key, &"it was ended in the future");
                        }
                    }
                }
            }
        })
        .await?;
    Ok(findings)
}

async fn live(service: &Service, findings: &mut Findings, key: &Key, record: Record, now: Millis) {
    let Record { value, version, times } = record;
    findings.see(Kind::of(key), Sealed::key_of(&value));
    if times.expires <= times.touched {
        findings.note(Problem::Times, key, &"it expires before it was last used");
    }
    if times.touched > now.plus(SKEW) {
        findings.note(Problem::Future, key, &"it was used in the future: a clock is or was wrong");
    }
    if version > Version::MOST_MOVED || version == Version(0) {
        findings.note(Problem::Version, key, &"its version is none that can move to another storage");
    }
    match service.opened(key, value).await {
        Err(error @ NotOpened::UnknownKey { .. }) => findings.note(Problem::Key, key, &error),
        Err(error @ NotOpened::Changed { .. }) => findings.note(Problem::Seal, key, &error),
        Err(error @ NotOpened::Plain { .. }) => findings.note(Problem::Plain, key, &error),
        Ok(value) => {
            if let Err(error) = Kind::read(key, &value) {
                findings.note(Problem::Value, key, &error);
            }
        }
    }
}
