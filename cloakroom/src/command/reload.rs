//! `cloakroom reload`: has the running process go on by the changed configuration.

use super::ConfigOption;
use crate::configuration::Loaded;
use crate::control::{Answer, Request, ask};

/// The verdict is that of the running process: it reads the file itself, and it alone knows what it runs by.
pub(super) fn reload(option: &ConfigOption) -> miette::Result<()> {
    let Loaded { configuration, warnings, .. } = option.load()?;
    for warning in warnings {
        eprintln!("{:?}", miette::Report::new(warning));
    }
    let file = std::path::absolute(&option.config).unwrap_or_else(|_| option.config.clone());
    match ask(&configuration.data_dir, &Request::Reload { configuration: file })? {
        Answer::Done { text } => {
            println!("{text}");
            Ok(())
        }
        Answer::Refused { text } => {
            eprintln!("{}", text.trim_end());
            Err(miette::miette!("the running Cloakroom refused the configuration and goes on as before"))
        }
    }
}
