//! Clients of the session server, with their tokens and passwords read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use miette::{IntoDiagnostic, WrapErr, miette};
use session::SecretHash;
use zeroize::Zeroizing;

use crate::configuration::{Basic, Client, Configuration};

/// No token file is longer, in bytes.
const MAX_FILE: u64 = 4096;
/// A token that is shorter could be guessed from its hash.
const MIN_TOKEN: usize = 32;
/// One that is shorter is guessed however slowly (NIST SP 800-63B-4, 3.1.1.2).
const MIN_PASSWORD: usize = 8;

/// All clients, as the session server wants to know them.
pub(super) fn of(configuration: &Configuration) -> miette::Result<Vec<server::Client>> {
    configuration.clients.iter().map(client).collect()
}

fn client(client: &Client) -> miette::Result<server::Client> {
    let token = client.bearer_file.as_deref().map(token).transpose();
    let token =
        token.wrap_err_with(|| format!("the token of the `[[client]]` `{}` cannot be used", client.id))?;
    let basic = client.basic.as_ref().map(basic).transpose();
    let basic =
        basic.wrap_err_with(|| format!("the password of the `[[client]]` `{}` cannot be used", client.id))?;
    Ok(server::Client {
        from: client.from.clone().into(),
        token: token.map(|token| SecretHash::of(token.as_bytes())),
        basic,
        subject: client.tls_subject.as_deref().map(Into::into),
        kinds: client.kinds.clone(),
        realms: client.realms.clone(),
        attributes: client.attributes.clone(),
        ..server::Client::new(&client.id, client.may.clone())
    })
}

/// What is kept of a name and the password in its file: one line.
fn basic(basic: &Basic) -> miette::Result<SecretHash> {
    let file = &basic.password_file;
    let text = read(file)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.chars().count() < MIN_PASSWORD || password.chars().any(char::is_control) {
        return Err(miette!(
            help = "programs remember any password: take a long, random one",
            "{} holds no password: that is one line of at least {MIN_PASSWORD} characters",
            file.display()
        ));
    }
    Ok(server::Client::basic(&basic.user, password))
}

/// The token in a file: one line of visible ASCII.
pub(crate) fn token(file: &Path) -> miette::Result<Zeroizing<String>> {
    let text = read(file)?;
    let token = text.trim();
    if token.len() < MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(miette!(
            help = format!("`cloakroom keys new {}` makes a file whose line serves as one", file.display()),
            "{} holds no token: that is one line of at least {MIN_TOKEN} visible characters",
            file.display()
        ));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn read(file: &Path) -> miette::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(file)
        .and_then(|opened| opened.take(MAX_FILE).read_to_string(&mut text))
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be read", file.display()))?;
    Ok(text)
}
