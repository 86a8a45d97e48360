//! Writes what libFuzzer begins with: `seeds DIRECTORY` makes `DIRECTORY/<target>/seed-<number>` and
//! `DIRECTORY/<target>.dict`, and prints the name of each target.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY");
        return ExitCode::from(2);
    };
    for target in fuzz::TARGETS {
        if let Err(error) = write(&directory, target) {
            eprintln!("cannot write below {}: {error}", directory.display());
            return ExitCode::FAILURE;
        }
        println!("{}", target.name);
    }
    ExitCode::SUCCESS
}

fn write(directory: &Path, target: &fuzz::Target) -> std::io::Result<()> {
    let seeds = directory.join(target.name);
    std::fs::create_dir_all(&seeds)?;
    for (number, seed) in target.seeds.iter().enumerate() {
        std::fs::write(seeds.join(format!("seed-{number:03}")), seed)?;
    }
    let words: String = target.words.iter().map(|word| format!("\"{}\"\n", quoted(word))).collect();
    std::fs::write(directory.join(format!("{}.dict", target.name)), words)
}

/// The only escapes that a dictionary knows.
fn quoted(word: &[u8]) -> String {
    word.iter()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\x{byte:02x}"),
            byte if byte.is_ascii_graphic() || *byte == b' ' => char::from(*byte).to_string(),
            byte => format!("\\x{byte:02x}"),
        })
        .collect()
}
