//! Unknown fates.

use super::*;
use crate::faulty::{Fault, Faulty, Which};
use crate::{Applied, Bury, Was};

/// Whoever did not hear whether a write was done repeats it, and is told that it was.
pub async fn a_lost_answer_is_recognised_by_its_write(subject: &Subject) {
    let faulty = Faulty::new(Arc::clone(&subject.storage));
    let new = record(b"1", subject.at(60_000));
    faulty.fail_once(Which::Create, Fault::LoseAnswer);
    let error = faulty.create(&key("a"), new.clone()).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    let Create::Created(version) = faulty.create(&key("a"), new).await.unwrap() else {
        panic!("the retry of a create does not recognise its own success")
    };
    let update = new_value(version, b"2");
    faulty.fail_once(Which::Update, Fault::LoseAnswer);
    assert_eq!(faulty.update(&key("a"), update.clone()).await.unwrap_err().applied, Applied::Unknown);
    let Update::Updated(updated) = faulty.update(&key("a"), update.clone()).await.unwrap() else {
        panic!("the retry of an update does not recognise its own success")
    };
    assert_eq!(subject.found(&key("a")).await.version, updated);
    // A touch in between does not hide whose write it was.
    let times = Times { touched: subject.at(9), expires: subject.at(70_000) };
    faulty.touch(&key("a"), times).await.unwrap();
    assert_eq!(faulty.update(&key("a"), update.clone()).await.unwrap(), Update::Updated(updated));
    // Somebody else's write does: then the retry learns what is there now.
    subject.updated(&key("a"), updated, b"3").await;
    assert!(matches!(faulty.update(&key("a"), update).await.unwrap(), Update::Conflict(_)));
    faulty.fail_once(Which::Bury, Fault::LoseAnswer);
    assert!(faulty.bury(&key("a"), burial(Some(subject.at(60_000)))).await.is_err());
    let again = faulty.bury(&key("a"), burial(Some(subject.at(60_000)))).await.unwrap();
    assert_eq!(again, Bury::Buried(Was::Buried));
}

/// A write that was refused changed nothing, and can be repeated.
pub async fn a_refused_write_changed_nothing(subject: &Subject) {
    let faulty = Faulty::new(Arc::clone(&subject.storage));
    faulty.fail(Which::Any, Fault::Refuse);
    let new = record(b"1", subject.at(60_000));
    assert_eq!(faulty.create(&key("a"), new.clone()).await.unwrap_err().applied, Applied::No);
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    faulty.heal();
    assert!(matches!(faulty.create(&key("a"), new).await.unwrap(), Create::Created(_)));
}
