//! What an application says of its own address, in the visitors' terms.

use gateway::rewriting::Rewriting;
use http::Uri;

use super::form::{Pairs, Text, Wording, Wrong};
use super::section::Section;
use super::web::{Host, UrlPath};

/// `[application.rewrite]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Beginnings of URLs and paths, and the paths at which visitors find them.
    pub locations: Vec<(String, String)>,
    /// Beginnings of the paths of cookies, and what they are for visitors.
    pub cookie_paths: Vec<(String, String)>,
    /// Domains of cookies, and what they are for visitors.
    pub cookie_domains: Vec<(String, String)>,
}

impl Rewrite {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            locations: section.value(
                "locations",
                &Pairs { names: Text(Beginning), values: Text(UrlPath) },
                Vec::new(),
                "In `Location`, `Content-Location` and `Refresh`, as ProxyPassReverse of Apache and proxy_redirect of nginx: \
                 `{ \"http://127.0.0.1:9000/app\" = \"/shop\" }`.",
            ),
            cookie_paths: section.value(
                "cookie_paths",
                &Pairs { names: Text(UrlPath), values: Text(UrlPath) },
                Vec::new(),
                "In the `Path` of cookies, as ProxyPassReverseCookiePath: `{ \"/app\" = \"/shop\" }`.",
            ),
            cookie_domains: section.value(
                "cookie_domains",
                &Pairs { names: Text(Host), values: Text(Host) },
                Vec::new(),
                "In the `Domain` of cookies, as ProxyPassReverseCookieDomain: `{ \"app.internal\" = \"shop.example.org\" }`.",
            ),
        }
    }

    /// As the gateway wants to know it.
    #[must_use]
    pub fn settings(&self) -> Rewriting {
        let pairs = |pairs: &[(String, String)]| {
            pairs.iter().map(|(from, to)| (from.as_str().into(), to.as_str().into())).collect()
        };
        Rewriting {
            locations: pairs(&self.locations),
            cookie_paths: pairs(&self.cookie_paths),
            cookie_domains: pairs(&self.cookie_domains),
        }
    }
}

/// The beginning of a URL, or of a path.
#[derive(Debug, Clone, Copy)]
struct Beginning;

impl Wording for Beginning {
    type Value = String;
    const NAME: &'static str = "URL or path";
    const RULES: &'static str = "begins with http://, https:// or a slash";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.starts_with('/') {
            return UrlPath::parse(text);
        }
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        match text.parse::<Uri>() {
            Ok(url)
                if is_url && url.authority().is_some() && url.query().is_none() && !text.contains('#') =>
            {
                Ok(text.to_owned())
            }
            _ => {
                Err(Wrong::new("is no URL of an application", "say \"http://127.0.0.1:9000/app\", or a path"))
            }
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}
