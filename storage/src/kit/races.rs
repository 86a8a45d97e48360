//! Sixty-four writers at once.

use tokio::task::JoinSet;

use super::*;
use crate::{Batch, Operation, Touch};

const WRITERS: usize = 64;

async fn race<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    subject: &Subject,
    writer: impl Fn(Subject, usize) -> F,
) -> Vec<T> {
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(writer(subject.clone(), number));
    }
    writers.join_all().await
}

/// Of 64 creators of one key exactly one wins.
pub async fn of_64_creators_one_wins(subject: &Subject) {
    let outcomes = race(subject, |subject, number| async move {
        let new = record(number.to_string().as_bytes(), subject.at(60_000));
        let value = new.value.clone();
        (subject.storage.create(&key("a"), new).await.unwrap(), value)
    })
    .await;
    let won: Vec<_> = outcomes.iter().filter(|(outcome, _)| matches!(outcome, Create::Created(_))).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(subject.found(&key("a")).await.value, won[0].1);
}

/// Of 64 updates of one version exactly one wins, and the others see what it wrote.
pub async fn of_64_updates_of_one_version_one_wins(subject: &Subject) {
    let version = subject.created(&key("a"), b"0").await;
    let outcomes = race(subject, move |subject, number| async move {
        let new = new_value(version, number.to_string().as_bytes());
        subject.storage.update(&key("a"), new).await.unwrap()
    })
    .await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Update::Updated(_))).count();
    assert_eq!(won, 1);
    let now = subject.found(&key("a")).await;
    for outcome in outcomes {
        match outcome {
            Update::Updated(version) => assert_eq!(version, now.version),
            Update::Conflict(current) => assert_eq!(current.value, now.value),
            other => panic!("{other:?}"),
        }
    }
}

/// Sixty-four writers that read, add their mark and try again when they are stale: all marks are there.
pub async fn sixty_four_writers_lose_nothing(subject: &Subject) {
    subject.created(&key("a"), &[0; WRITERS]).await;
    race(subject, |subject, number| async move {
        loop {
            let record = subject.found(&key("a")).await;
            let mut value = record.value.to_vec();
            value[number] = 1;
            match subject.storage.update(&key("a"), new_value(record.version, &value)).await.unwrap() {
                Update::Updated(_) => return,
                Update::Conflict(_) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert_eq!(&*subject.found(&key("a")).await.value, &[1; WRITERS]);
}

/// While 64 writers update, create and read, somebody ends the record: from then on nobody finds it.
pub async fn an_end_beats_64_writers(subject: &Subject) {
    subject.created(&key("a"), b"0").await;
    race(subject, |subject, number| async move {
        if number == WRITERS / 2 {
            subject.storage.bury(&key("a"), burial(Some(subject.at(60_000)))).await.unwrap();
            let read = subject.storage.read(&key("a"), None).await.unwrap();
            assert!(matches!(read, Read::Buried(_)), "right after the end: {read:?}");
            return;
        }
        let mut is_ended = false;
        for _ in 0..8 {
            match subject.storage.read(&key("a"), None).await.unwrap() {
                Read::Found(record) => {
                    assert!(!is_ended, "it came back");
                    let _ = subject.storage.update(&key("a"), new_value(record.version, b"1")).await.unwrap();
                }
                Read::Buried(_) => {
                    is_ended = true;
                    let late =
                        subject.storage.create(&key("a"), record(b"2", subject.at(60_000))).await.unwrap();
                    assert!(matches!(late, Create::Buried(_)), "{late:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    assert!(matches!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
}

/// While 64 touch, somebody ends the record: no touch brings it back.
pub async fn an_end_beats_64_touches(subject: &Subject) {
    subject.created(&key("a"), b"0").await;
    race(subject, |subject, number| async move {
        if number == WRITERS / 2 {
            subject.storage.bury(&key("a"), burial(Some(subject.at(60_000)))).await.unwrap();
            return;
        }
        let mut is_ended = false;
        for step in 0..8 {
            let times = Times { touched: subject.at(step), expires: subject.at(90_000 + step) };
            match subject.storage.touch(&key("a"), times).await.unwrap() {
                Touch::Touched => assert!(!is_ended, "it came back"),
                Touch::Buried(_) => is_ended = true,
                Touch::Absent => panic!("it is neither there nor ended"),
            }
        }
    })
    .await;
    assert!(matches!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
}

/// Two records that batches always write together never differ.
pub async fn batches_do_not_interleave(subject: &Subject) {
    subject.created(&key("a"), b"0").await;
    subject.created(&key("b"), b"0").await;
    race(subject, |subject, number| async move {
        let mut done = 0;
        while done < 2 {
            let (a, b) = (subject.found(&key("a")).await, subject.found(&key("b")).await);
            let value = format!("{number}.{done}");
            let operations = vec![
                Operation::Update(key("a"), new_value(a.version, value.as_bytes())),
                Operation::Update(key("b"), new_value(b.version, value.as_bytes())),
            ];
            match subject.storage.batch(operations).await.unwrap() {
                Batch::Done(_) => done += 1,
                Batch::Refused { .. } => {}
            }
        }
    })
    .await;
    assert_eq!(subject.found(&key("a")).await.value, subject.found(&key("b")).await.value);
}
