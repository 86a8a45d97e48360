//! htpasswd files and the hashes in them: what is accepted can be verified at a bounded cost, and no fault repeats a hash.

use gateway::fuzzing::Users;

/// How many faults are told at once.
const MAX_FAULTS: usize = 20;

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"ada:$2y$05$abcdefghijklmnopqrstuuBXv9m8fD8rIVNqN8zFa7kZx5j0u1m2a\n# a note\n\n",
    b"ada:$2y$31$abcdefghijklmnopqrstuuBXv9m8fD8rIVNqN8zFa7kZx5j0u1m2a",
    b"ada:$2x$05$abcdefghijklmnopqrstuuBXv9m8fD8rIVNqN8zFa7kZx5j0u1m2a",
    "ada:$2y$1\u{e9}$abcdefghijklmnopqrstu".as_bytes(),
    b"ada:$apr1$saltsalt$RXhnzWWyaqvmIi76AldiO.\ngrace:$apr1$$RXhnzWWyaqvmIi76AldiO.",
    b"ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=:a note\nada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    b"ada:{SSHA}AAAA\nbob:{SHA}\ncarl:{SHA",
    b"ada:$5$rounds=1000$salt$Xq0lA3qBoL2bT8bNxJzNzqcBLgkzqVwTMwTqzN6M1F4",
    b"ada:$6$rounds=999999999$salt$x\nbob:$6$rounds=4294967296$salt$x\ncarl:$6$rounds=-1$s$x",
    b"ada:$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"ada:$argon2id$v=19$m=4294967295,t=4294967295,p=16777215$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"ada:$argon2id$v=19$m=8,t=1,p=1$$\nbob:$argon2d$v=19$$\ncarl:$argon2i$m=8$c2FsdHNhbHQ",
    b"ada:secret-in-plain\n:x\nno colon\n\tada : $1$a$b\r\n",
    b"ada:$y$j9T$x$y\nbob:$7$x\ncarl:$\ndora:$$\neve:{}",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"ada:",
    b"\n",
    b"#",
    b":",
    b"$2y$05$",
    b"$2b$04$",
    b"$apr1$saltsalt$",
    b"{SHA}",
    b"$5$rounds=1000$",
    b"$6$salt$",
    b"$argon2id$v=19$m=8,t=1,p=1$",
    b"$argon2d$",
    b"rounds=",
    b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<(&str, &str)> = text
        .lines()
        .map(str::trim_ascii)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
        .collect();
    match Users::parse(text) {
        Err(faults) => {
            assert!((1..=MAX_FAULTS).contains(&faults.len()));
            assert!(faults.iter().all(|fault| (1..=text.lines().count()).contains(&fault.line)));
            no_fault_repeats_a_hash(text);
        }
        Ok(users) => {
            assert!(users.count() <= lines.len() && users.weak() <= users.count());
            assert_eq!(format!("{users:?}"), format!("Users(Users {{ len: {}, .. }})", users.count()));
            let cost: u64 = lines.iter().map(|(_, hash)| cost(hash.trim())).sum();
            if cost <= CHEAP {
                for (name, _) in lines.iter().take(4) {
                    let _ = users.verify(name, "a password");
                }
                assert!(!users.verify("\n", "nobody can be called so"));
            }
        }
    }
}

/// What stands behind a colon in a file may be a password, and does not show.
fn no_fault_repeats_a_hash(text: &str) {
    for mark in ["hunter2~", "~hunter2"] {
        let marked = |line: &str| match line.split_once(':') {
            Some((name, hash)) if mark.starts_with('~') => format!("{name}:{hash}{mark}\n"),
            Some((name, hash)) => format!("{name}:{mark}{hash}\n"),
            None => format!("{line}\n"),
        };
        let marked: String = text.lines().map(marked).collect();
        for fault in Users::parse(&marked).err().into_iter().flatten() {
            assert!(!format!("{fault} {fault:?}").contains(mark), "{fault}");
        }
    }
}

/// Rounds, passes over a KiB and the like that are no hindrance here.
const CHEAP: u64 = 5000;

/// About how much work a hash asks for that was accepted. Its bounds hold here too, read in another way.
fn cost(hash: &str) -> u64 {
    let hash = hash.split(':').next().unwrap_or_default().trim_end();
    // What is said twice is what was said last.
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = hash.rsplit_once(name)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    if hash.starts_with("$2") {
        let cost: u32 = hash.get(4..6).and_then(|cost| cost.parse().ok()).expect("a bcrypt hash has a cost");
        assert!((4..=14).contains(&cost), "{cost}");
        100 << cost
    } else if hash.starts_with("$argon2") {
        let (memory, passes) = (number("m=").unwrap_or(19456), number("t=").unwrap_or(2));
        assert!(memory <= 256 << 10 && memory * passes <= 1 << 20, "{memory} {passes}");
        memory * passes
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        let rounds = number("$rounds=").unwrap_or(5000);
        assert!((1000..=500_000).contains(&rounds), "{rounds}");
        rounds
    } else {
        1000
    }
}
