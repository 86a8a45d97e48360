//! The Shibboleth service provider: Apache with `mod_shib`, and the `shibd` that keeps its sessions.
//!
//! Sessions are opened through its ExternalAuth handler, which takes the word of whoever asks from this machine, so that no
//! identity provider is needed. All is in memory, as Debian sets it.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::apache::Apache;
use crate::error::{Error, Result};
use crate::postgres::unprivileged;
use crate::process::{Process, find};
use crate::raw::Connection;
use crate::scratch;

const MODULE: &str = "/usr/lib/apache2/modules/mod_shib.so";
const LOGIN: &str = "/Shibboleth.sso/ExternalAuth";

/// Both halves, and the socket between them.
#[derive(Debug)]
pub struct Shibboleth {
    apache: Apache,
    shibd: Process,
    _directory: TempDir,
}

/// Somebody who logs people in, over one connection.
#[derive(Debug)]
pub struct Portal {
    connection: Connection,
    host: SocketAddr,
}

impl Shibboleth {
    /// Starts `shibd`, then Apache.
    pub fn start() -> Result<Self> {
        let program = find("shibd", "shibboleth-sp-utils")?;
        if !Path::new(MODULE).is_file() {
            return Err(Error::Missing { program: "mod_shib.so", package: "libapache2-mod-shib" });
        }
        let directory = scratch::directory()?;
        let place = directory.path();
        let filled = |text: &str| text.replace("{directory}", &place.display().to_string());
        let configuration = scratch::write(place, "shibboleth2.xml", &filled(CONFIGURATION))?;
        for half in ["shibd", "native"] {
            scratch::write(place, &format!("{half}.logger"), &filled(LOGGER).replace("{half}", half))?;
        }
        let mut command = unprivileged(&program);
        command.args(["-F", "-f", "-c"]).arg(&configuration).arg("-p").arg(place.join("shibd.pid"));
        let mut shibd = Process::spawn(command, place.join("log"))?;
        let socket = place.join("shibd.sock");
        shibd.wait_until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
        let apache = Apache::start(&["authn_core"], &front_end(&configuration))?;
        Ok(Self { apache, shibd, _directory: directory })
    }

    /// Where Apache listens.
    pub fn address(&self) -> SocketAddr {
        self.apache.address()
    }

    /// Apache and its children.
    pub fn apache(&self) -> &Process {
        self.apache.process()
    }

    /// The process that keeps the sessions.
    pub fn shibd(&self) -> &Process {
        &self.shibd
    }

    /// Connects somebody who logs people in.
    pub fn portal(&self) -> Result<Portal> {
        let host = self.address();
        Ok(Portal { connection: Connection::open(host)?, host })
    }
}

impl Portal {
    /// Opens a session with four attributes for the person that the identity provider calls `name`, under its own
    /// `index` of sessions. Gives the cookie, as `name=value`.
    pub fn log_in(&mut self, name: &str, index: &str) -> Result<String> {
        let form = format!(
            "NameID={name}&Format=urn:oasis:names:tc:SAML:2.0:nameid-format:persistent&SessionIndex={index}\
             &issuer=https://idp.example.org/idp&protocol=urn:oasis:names:tc:SAML:2.0:protocol&address=127.0.0.1\
             &attributes=eppn,uid,mail,groups&eppn={name}@example.org&uid={name}&mail={name}@example.org&groups=staff"
        );
        let host = self.host;
        self.connection.send(format!(
            "POST {LOGIN} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        ))?;
        let response = self.connection.response()?;
        let cookie = response.all("set-cookie").into_iter().find(|line| line.starts_with("_shibsession_"));
        let cookie = cookie.and_then(|line| line.split(';').next()).filter(|_| response.status == 200);
        cookie
            .map(str::to_owned)
            .ok_or_else(|| Error::Nonsense { what: "no login at Shibboleth", bytes: response.body.clone() })
    }
}

fn front_end(configuration: &Path) -> String {
    format!(
        "LoadModule mod_shib {MODULE}\n\
         ShibConfig {}\n\
         MaxKeepAliveRequests 0\n\
         <Location /Shibboleth.sso>\nAuthType None\nRequire all granted\n</Location>\n",
        configuration.display()
    )
}

/// What Debian has, but for the places, and without what an identity provider would need.
const CONFIGURATION: &str = r#"<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
  <OutOfProcess logger="{directory}/shibd.logger"/>
  <InProcess logger="{directory}/native.logger"/>
  <UnixListener address="{directory}/shibd.sock"/>
  <StorageService type="Memory" id="mem" cleanupInterval="900"/>
  <SessionCache type="StorageService" StorageService="mem" cacheAllowance="900" inprocTimeout="900" cleanupInterval="900"/>
  <ReplayCache StorageService="mem"/>
  <RequestMapper type="Native"><RequestMap/></RequestMapper>
  <ApplicationDefaults entityID="https://sp.example.org/shibboleth" REMOTE_USER="eppn">
    <Sessions lifetime="28800" timeout="3600" checkAddress="false" handlerURL="/Shibboleth.sso" handlerSSL="false"
              cookieProps="http" relayState="ss:mem" redirectLimit="exact">
      <Handler type="ExternalAuth" Location="/ExternalAuth" acl="127.0.0.1"/>
      <Handler type="Session" Location="/Session" contentType="application/json"/>
    </Sessions>
    <Errors supportContact="root@localhost"/>
  </ApplicationDefaults>
  <SecurityPolicyProvider type="XML" path="/etc/shibboleth/security-policy.xml"/>
  <ProtocolProvider type="XML" path="/etc/shibboleth/protocols.xml"/>
</SPConfig>
"#;

/// Its default would write where the system's own has its logs.
const LOGGER: &str = "\
    log4j.rootCategory=ERROR, all\n\
    log4j.appender.all=org.apache.log4j.FileAppender\n\
    log4j.appender.all.fileName={directory}/{half}.log\n\
    log4j.appender.all.layout=org.apache.log4j.PatternLayout\n\
    log4j.appender.all.layout.ConversionPattern=%p %c %x: %m%n\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{available, raw};

    #[test]
    fn shibboleth_knows_whom_it_logged_in() {
        let Some(shibboleth) = available(Shibboleth::start()).unwrap() else {
            return;
        };
        let mut portal = shibboleth.portal().unwrap();
        let first = portal.log_in("ann", "one").unwrap();
        let second = portal.log_in("ann", "two").unwrap();
        assert_ne!(first, second);
        let session = |cookie: &str| {
            let header = format!("Cookie: {cookie}\r\n");
            raw::get(shibboleth.address(), "/Shibboleth.sso/Session", &header).unwrap().text()
        };
        assert!(session(&first).contains("\"eppn\""), "{}", session(&first));
        assert!(!session("_shibsession_unknown=_0").contains("\"eppn\""));
    }
}
