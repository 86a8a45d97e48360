//! The manager of LemonLDAP::NG under Starman, open to whoever asks: its explorer of sessions.

use serde_json::Value;

use super::{LemonLdap, needed};
use crate::error::{Error, Result};
use crate::raw;

const MODULE: (&str, &str, &str) =
    ("/usr/share/perl5/Lemonldap/NG/Manager.pm", "Lemonldap::NG::Manager", "liblemonldap-ng-manager-perl");

/// A running manager.
#[derive(Debug)]
pub struct LemonLdapManager(LemonLdap);

impl LemonLdapManager {
    /// Starts a manager whose configuration has these members.
    pub fn start_with(settings: Value) -> Result<Self> {
        needed(MODULE)?;
        LemonLdap::serve(settings, MANAGER, |address| {
            raw::get(address, "/psgi.js", "").is_ok_and(|answer| answer.status == 200)
        })
        .map(Self)
    }

    /// What its explorer says of sessions: `ask` is what comes behind `/sessions/`.
    pub fn explore(&self, ask: &str) -> Result<Value> {
        self.call("GET", ask)
    }

    /// Has it end a session of LemonLDAP::NG's global storage.
    pub fn end(&self, id: &str) -> Result<Value> {
        self.call("DELETE", &format!("global/{id}"))
    }

    /// Everything that it printed.
    pub fn log(&self) -> String {
        self.0.log()
    }

    fn call(&self, method: &str, ask: &str) -> Result<Value> {
        let address = self.0.address();
        let answer = raw::exchange(
            address,
            format!(
                "{method} /sessions/{ask} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: application/json\r\n\r\n"
            ),
        )?;
        serde_json::from_slice(&answer.body).map_err(|_| Error::Nonsense {
            what: "no JSON of LemonLDAP::NG's manager",
            bytes: answer.body.clone(),
        })
    }
}

/// The application, as its documentation has it.
const MANAGER: &str = "use Lemonldap::NG::Manager;\nLemonldap::NG::Manager->run({});\n";
