//! The URL of a database: which product it is, and whether it can be what the operator means.
//!
//! A password does not belong in it: URLs are shown in logs and by `check`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// The URL of a database, without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    product: Product,
}

/// Whose database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// A file of this machine, for one process at a time.
    Sqlite,
    /// PostgreSQL 12 or newer, and what speaks like it.
    #[cfg(feature = "postgres")]
    Postgres,
    /// MySQL 8.0 or newer, MariaDB 10.5 or newer.
    #[cfg(feature = "mysql")]
    MySql,
}

/// Why a text is no address of a database, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {cure}")]
pub struct AddressError {
    /// What is wrong, to be put behind the text.
    pub problem: String,
    /// What to do.
    pub cure: String,
    /// The text may hold a secret and must not be shown.
    pub is_secret: bool,
}

impl AddressError {
    fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { problem: problem.into(), cure: cure.into(), is_secret: false }
    }
}

impl Address {
    /// Reads the URL of a database.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let example = "say something like \"postgres://cloakroom@127.0.0.1:5432/cloakroom\"";
        let url = Url::parse(text)
            .map_err(|error| AddressError::new(format!("is no URL: {error}"), example).hiding(text))?;
        if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
            let cure = "write the password into a file and name that as `password_file`";
            return Err(AddressError { is_secret: true, ..AddressError::new("holds a password", cure) });
        }
        let product = match url.scheme() {
            "sqlite" => Product::Sqlite,
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Product::Postgres,
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => Product::MySql,
            scheme => {
                let problem = format!("names no database that this build knows (`{scheme}`)");
                return Err(AddressError::new(problem, example));
            }
        };
        let address = Self { url, product };
        if product == Product::Sqlite {
            return address.check_file();
        }
        if address.database().is_empty() {
            return Err(AddressError::new("names no database", example));
        }
        if address.user().is_empty() {
            return Err(AddressError::new("names no user", example));
        }
        Ok(address)
    }

    fn check_file(self) -> Result<Self, AddressError> {
        let file = self.file();
        if !self.host().is_empty() || file.file_name().is_none() || self.url.path().ends_with('/') {
            let cure =
                "say something like \"sqlite:///var/lib/cloakroom/sessions.sqlite\", with three slashes";
            return Err(AddressError::new("names no file", cure));
        }
        Ok(self)
    }

    /// The file of a database that is one.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        percent_decode_str(self.url.path()).decode_utf8_lossy().into_owned().into()
    }

    /// Whose database it is.
    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host, for people.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether the bytes stay on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        if self.parameter(&["host", "socket"]).is_some_and(|host| host.starts_with('/')) {
            return true;
        }
        match self.url.host() {
            // A URL of a scheme that the standard does not know has its addresses as names.
            Some(Host::Domain(name)) => {
                let name = name.to_ascii_lowercase();
                name == "localhost"
                    || name.starts_with("%2f")
                    || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
            }
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => true,
        }
    }

    /// How the connection is to be encrypted, as far as the URL says so.
    #[must_use]
    pub fn tls_mode(&self) -> Option<String> {
        self.parameter(&["sslmode", "ssl-mode"])
    }

    /// Whether somebody on the way could pass for the server: the URL asks for less than a certificate that is verified.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        let is_verified = |mode: String| mode.to_ascii_lowercase().replace('_', "-").starts_with("verify-");
        !self.is_local() && !self.tls_mode().is_none_or(is_verified)
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> String {
        self.parameter(&["dbname"]).unwrap_or_else(|| decoded(self.url.path().trim_matches('/')))
    }

    /// Who connects.
    #[must_use]
    pub fn user(&self) -> String {
        self.parameter(&["user"]).unwrap_or_else(|| decoded(self.url.username()))
    }

    fn parameter(&self, names: &[&str]) -> Option<String> {
        let found = self.url.query_pairs().find(|(name, _)| names.contains(&&**name));
        found.map(|(_, value)| value.into_owned())
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl AddressError {
    /// A text that could not be read may hold a password somewhere.
    fn hiding(self, text: &str) -> Self {
        Self { is_secret: text.contains('@'), ..self }
    }
}

/// Where the database is, without what else the URL says.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.product == Product::Sqlite {
            return write!(f, "{}", self.file().display());
        }
        write!(f, "{}://{}@{}", self.url.scheme(), self.user(), self.host())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.database())
    }
}
