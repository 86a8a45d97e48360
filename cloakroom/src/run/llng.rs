//! The session server for LemonLDAP::NG, with its key and its users read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use dialects::llng::soap::Charset;
use dialects::llng::{Cipher, Hidden};
use gateway::login::{Checked, CheckedUsers, LimitSettings, Verifiers};
use miette::{IntoDiagnostic, WrapErr, miette};
use server::{Logins, SessionCookie, Verdict};
use zeroize::Zeroizing;

use crate::configuration::{Configuration, LemonLdap, TextForm};

/// No key file is longer, in bytes.
const MAX_FILE: u64 = 4096;

/// How sessions of LemonLDAP::NG are kept and told, if they are.
pub(super) fn of(
    configuration: &Configuration,
    verifiers: &Verifiers,
) -> miette::Result<Option<server::LemonLdap>> {
    let scheme = if configuration.listen.server_tls.is_some() { "https" } else { "http" };
    configuration.llng.as_ref().map(|llng| settings(llng, verifiers, scheme)).transpose()
}

fn settings(
    llng: &LemonLdap,
    verifiers: &Verifiers,
    scheme: &'static str,
) -> miette::Result<server::LemonLdap> {
    let cipher = llng.key_file.as_deref().map(cipher).transpose()?;
    let logins = llng.login.as_ref().map(|login| logins(&login.file, verifiers)).transpose()?;
    Ok(server::LemonLdap {
        soap: llng.soap,
        rest: llng.rest,
        hashed: llng.hashed,
        cipher,
        timeout: llng.timeout,
        timeout_activity: llng.timeout_activity,
        cookie: SessionCookie {
            name: llng.cookie_name.as_str().into(),
            domain: llng.cookie_domain.as_deref().map(Into::into),
            is_secure: llng.cookie_secure,
        },
        exported: llng.exported.clone(),
        hidden: Hidden::parse(&llng.hidden).into_diagnostic()?,
        charset: match llng.text {
            TextForm::Octet => Charset::Octets,
            TextForm::Text => Charset::Text,
        },
        logins,
        rules: llng.rules.clone(),
        scheme,
    })
}

/// The cipher of the key in a file: its first line.
fn cipher(file: &Path) -> miette::Result<Cipher> {
    let failed = || format!("the key of LemonLDAP::NG cannot be read from {}", file.display());
    let mut text = Zeroizing::new(String::new());
    let opened = File::open(file).into_diagnostic().wrap_err_with(failed)?;
    opened.take(MAX_FILE).read_to_string(&mut text).into_diagnostic().wrap_err_with(failed)?;
    let key = text.lines().next().unwrap_or_default();
    if key.is_empty() {
        return Err(miette!(
            help = "write the value of `key` of LemonLDAP::NG's configuration there, alone in the first line",
            "{} holds no key: its first line is empty",
            file.display()
        ));
    }
    Cipher::new(key.as_bytes()).into_diagnostic()
}

fn logins(file: &Path, verifiers: &Verifiers) -> miette::Result<Logins> {
    let users = CheckedUsers::open(file, verifiers.clone(), LimitSettings::default());
    let users = Arc::new(users.into_diagnostic().wrap_err("the users of `[llng.login]` cannot be read")?);
    Ok(Logins::new(move |from, user, password| {
        let users = Arc::clone(&users);
        let password = Zeroizing::new(password.into_string());
        async move {
            match users.check(from, &user, &password).await {
                Checked::Right => Verdict::Right,
                Checked::Wrong => Verdict::Wrong,
                Checked::NotTried => Verdict::Unknown,
            }
        }
    }))
}
