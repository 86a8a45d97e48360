//! What only a server can show: its certificate, a full disk, the locks of others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use cloakroom_engines::sql::{Settings, open};
use interop::{Authority, Postgres, available};
use session::Millis;
use storage::kit::{key, record};
use storage::{Applied, Blame, Create, Operation, Read};

use crate::database::refusals::{assert_says, clock, told};
use crate::database::{opened, settings};

/// A file for the server alone, which does not run as root. It belongs to the directory's owner otherwise.
fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(path, Some(65_534), Some(65_534)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_known_by_its_certificate() {
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let issued = ours.server(&["localhost"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str| folder.path().join(name);
    private(&file("server.key"), &issued.key);
    private(&file("server.pem"), &issued.certificate);
    fs::write(file("ours.pem"), ours.certificate()).unwrap();
    fs::write(file("theirs.pem"), theirs.certificate()).unwrap();
    let (certificate, private_key) = (
        format!("ssl_cert_file={}", file("server.pem").display()),
        format!("ssl_key_file={}", file("server.key").display()),
    );
    let started = Postgres::start_with(&["ssl=on", &certificate, &private_key]);
    let Some(postgres) = available(started).unwrap() else {
        return;
    };
    let url = |host: &str| {
        format!("postgres://admin@{host}:{}/postgres?sslmode=verify-full", postgres.address().port())
    };
    let with =
        |host: &str, authority: &str| Settings { ca_file: Some(file(authority)), ..settings(&url(host)) };
    let storage = open("database", &with("localhost", "ours.pem"), clock()).await.unwrap();
    assert_eq!(storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND application_name = 'cloakroom'";
    assert_eq!(postgres.sql("postgres", encrypted).unwrap(), "1");
    for wrong in [with("localhost", "theirs.pem"), with("127.0.0.1", "ours.pem"), settings(&url("localhost"))]
    {
        let error = open("database", &wrong, clock()).await.unwrap_err().to_string();
        assert_says(&error, &["no encrypted connection", "ca_file"]);
    }
    // No authority, and none asked for.
    let lax = url("localhost").replace("verify-full", "require");
    opened(&lax, clock()).await.unwrap();
    assert_says(&told(&url("127.0.0.1")).await, &["no encrypted connection"]);
}

/// A small disk, gone when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None if this user may not make one.
    fn small() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=20m,mode=0700,uid=65534,gid=65534", "tmpfs"])
            .arg(folder.path())
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let Some(disk) = Disk::small() else {
        eprintln!("skipped: only root can make a small disk");
        return;
    };
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    // The folder above it must let the server pass.
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.path().display());
    postgres.sql("postgres", &space).unwrap();
    postgres.sql("postgres", "CREATE DATABASE small TABLESPACE small").unwrap();
    let storage = opened(&postgres.url("small"), clock()).await.unwrap();
    let ballast = "CREATE TABLE ballast AS SELECT repeat(md5(n::text), 60) FROM generate_series(1, 2000) n";
    postgres.sql("small", ballast).unwrap();
    // What does not compress: each byte of it is random.
    let value = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..256 << 10).map(|_| random.u8(..)).collect::<Vec<u8>>()
    };
    let mut there = 0;
    let error = loop {
        let name = key(&there.to_string());
        match storage.create(&name, record(&value(there), Millis::NEVER)).await {
            Ok(Create::Created(_)) => there += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(there < 1_000, "the disk does not get full");
    };
    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage), "{error}");
    assert_says(&error.to_string(), &["disk is full; make room"]);
    let late = key(&there.to_string());
    let batch = vec![Operation::Create(late.clone(), record(&value(there), Millis::NEVER))];
    assert_eq!(storage.batch(batch.clone()).await.unwrap_err().applied, Applied::No);
    assert_eq!(storage.read(&late, None).await.unwrap(), Read::Absent);
    for number in 0..there {
        let Read::Found(found) = storage.read(&key(&number.to_string()), None).await.unwrap() else {
            panic!("{number} is lost")
        };
        assert_eq!(found.value, value(number));
    }
    postgres.sql("small", "DROP TABLE ballast").unwrap();
    assert!(matches!(storage.batch(batch).await.unwrap(), storage::Batch::Done(_)));
}
