//! Everything that was ever found worth keeping, once more: the seeds, the corpus, and what broke a law once.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a folder, which need not be there.
fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    files(folder).iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Runs all inputs of the target; a law that does not hold fails the test, and libtest shows the input's name.
fn replay(target: &Target) -> usize {
    for (number, seed) in target.seeds.iter().enumerate() {
        println!("{} seed {number}", target.name);
        (target.check)(seed);
    }
    let kept = files(&folder("corpus").join(target.name));
    let broken = files(&folder("regressions").join(target.name));
    for file in kept.iter().chain(&broken) {
        println!("{}", file.display());
        (target.check)(&fs::read(file).unwrap());
    }
    target.seeds.len() + kept.len()
}

macro_rules! the_laws_hold_for {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap();
            assert!(replay(target) > 0, "there is nothing to begin with");
        }
    )*};
}

mod the_laws_hold_for {
    use super::{TARGETS, replay};

    the_laws_hold_for! {
        carried configuration cookies ends form forwarded host htpasswd json llng_json path proxy_protocol record return_to rules sealed
        set_cookie soap storage_protocol ticket update
    }
}

#[test]
fn every_target_has_its_program_and_no_folder_is_left_behind() {
    let known: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names(&folder("targets")), known);
    assert!(names(&folder("corpus")).is_subset(&known));
    assert!(names(&folder("regressions")).is_subset(&known));
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("name = \"fuzz-{name}\"")), "{name}");
    }
}

/// The corpus is for tests that run often.
#[test]
fn the_corpus_stays_small() {
    for target in TARGETS {
        let bytes: u64 = files(&folder("corpus").join(target.name))
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum();
        assert!(bytes <= 256 << 10, "{} has {bytes} bytes", target.name);
    }
}
