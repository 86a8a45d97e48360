//! What is refused at the start, on any server: given as what an operator did wrong and what they are told.

use std::sync::Arc;

use session::{Clock, SystemClock};

use super::{opened, settings};

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

/// What the operator is told who names this database.
pub(crate) async fn told(url: &str) -> String {
    match opened(url, clock()).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

/// The same with this password.
pub(crate) async fn told_with(url: &str, password: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\nnot this line\n")).unwrap();
    let settings = cloakroom_engines::sql::Settings { password_file: Some(file), ..settings(url) };
    match cloakroom_engines::sql::open("database", &settings, clock()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Each part is in the text.
pub(crate) fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
