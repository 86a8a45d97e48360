//! Where the API is, and what proves us: said on the command line, or taken from the configuration of the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::client::{Link, LinkSettings, Sessions, Token};
use ::server::Right;
use clap::Args;
use connector::Address;
use connector::tls::Tls;
use miette::{IntoDiagnostic as _, miette};

use crate::configuration::{Configuration, ServerUrl};
use crate::run::{believing, client_token, server_address};

/// How long a connection may take, and an answer.
const CONNECT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct ServerOptions {
    /// The configuration of the server, for its address and for the token of a `[[client]]`
    #[arg(long, short, value_name = "FILE", env = "CLOAKROOM_CONFIG")]
    config: Option<PathBuf>,
    /// The session server: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`
    #[arg(long, value_name = "URL", env = "CLOAKROOM_URL")]
    url: Option<String>,
    /// The file with the token that proves us
    #[arg(long, value_name = "FILE", env = "CLOAKROOM_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of those who are believed, instead of those whom the system believes
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ServerOptions {
    /// The API there.
    pub(super) fn api(&self) -> miette::Result<Sessions> {
        let configuration = match &self.config {
            Some(file) => Some(Configuration::load(file)?.configuration),
            None => None,
        };
        let url = match (&self.url, &configuration) {
            (Some(url), _) => ServerUrl::read(url).map_err(|why| miette!("`--url {url}` {why}"))?,
            (None, Some(configuration)) => ServerUrl::of_server(&configuration.listen),
            (None, None) => {
                return Err(miette!(
                    help = "say `--config FILE` of the Cloakroom that runs, or `--url` and `--token-file`",
                    "nobody says where the session server is"
                ));
            }
        };
        let file = self.token_file.as_deref().or_else(|| configuration.as_ref().and_then(known_token));
        let token = match file {
            Some(file) => {
                let token = client_token(file)?;
                Some(Token::new(&token).ok_or_else(|| miette!("{} holds no token", file.display()))?)
            }
            None => None,
        };
        let address = server_address(&url)?;
        let tls = match &address {
            Address::Https(_) => {
                let settings = believing(self.ca_file.as_deref())?;
                Some(Arc::new(Tls::new(&settings, true).into_diagnostic()?))
            }
            Address::Http(_) | Address::Unix(_) => None,
        };
        let link = Link::new(LinkSettings { address, tls, token, connect_timeout: CONNECT });
        Ok(Sessions::new(Arc::new(link), PATIENCE))
    }
}

/// The token of the client that may most with sessions.
fn known_token(configuration: &Configuration) -> Option<&Path> {
    let rank = |may: &[Right]| {
        [Right::Sessions, Right::AdminSessions].iter().filter(|right| may.contains(right)).count()
    };
    let able =
        configuration.clients.iter().filter(|client| client.bearer_file.is_some() && rank(&client.may) > 0);
    able.rev().max_by_key(|client| rank(&client.may))?.bearer_file.as_deref()
}
