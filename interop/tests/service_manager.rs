//! Under a service manager: what it is told, and what it thinks of our units.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use interop::{Cloakroom, available, find};

use crate::given;

/// The next thing that the service manager is told, but for that the process lives.
fn told(manager: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).expect("it is told something");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text != "WATCHDOG=1\n" {
            return text;
        }
    }
}

#[test]
fn it_is_told_of_start_reload_and_stop_and_that_the_process_lives() {
    let shop = given::application();
    let mut cloakroom = given::gateway(&shop);
    let manager = UnixDatagram::bind(cloakroom.directory().join(Cloakroom::NOTIFY)).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = [0; 1024];
    let length = manager.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"WATCHDOG=1\n");

    cloakroom.hang_up().unwrap();
    let reloading = told(&manager);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(&manager), "READY=1\nSTATUS=serving\n");
    cloakroom.terminate().unwrap();
    assert!(told(&manager).starts_with("STOPPING=1\n"));
    cloakroom.restart().unwrap();
    assert_eq!(told(&manager), "READY=1\nSTATUS=serving\n");
    let _before = cloakroom.take_over().unwrap();
    assert_eq!(told(&manager), format!("MAINPID={}\n", cloakroom.process().id()));
    assert_eq!(told(&manager), "READY=1\nSTATUS=serving\n");
}

/// Our units, with the program under test in the place of an installed one.
fn units(place: &Path) -> [PathBuf; 2] {
    let program = std::env::current_exe().unwrap();
    [
        ("cloakroom.service", include_str!("../../packaging/systemd/cloakroom.service")),
        ("cloakroom.socket", include_str!("../../packaging/systemd/cloakroom.socket")),
    ]
    .map(|(name, text)| {
        assert!(!name.ends_with(".service") || text.contains("/usr/bin/cloakroom "));
        let file = place.join(name);
        std::fs::write(&file, text.replace("/usr/bin/cloakroom", &program.display().to_string())).unwrap();
        file
    })
}

#[test]
fn our_units_are_right_and_hardened() {
    let Some(analyze) = available(find("systemd-analyze", "systemd")).unwrap() else { return };
    let place = tempfile::tempdir().unwrap();
    let [service, socket] = units(place.path());
    let verified = Command::new(&analyze).arg("verify").args([&service, &socket]).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("cloakroom"), "{said}");
    // In tenths: an exposure of 1.5 of 10, which is called OK, is the most.
    let rated = Command::new(&analyze)
        .args(["security", "--offline=yes", "--threshold=15", "--no-pager"])
        .arg(&service)
        .output()
        .unwrap();
    assert!(rated.status.success(), "{}", String::from_utf8_lossy(&rated.stdout));
}
