//! Who a session belongs to.

use aws_lc_rs::digest::{Context, SHA256};

/// The person that a session belongs to, as the issuer names them.
///
/// The shape is SAML's, which is the most exact of the families: absent parts are empty. LemonLDAP::NG has issuer
/// `llng` and `_whatToTrace` as name; mod_auth_form has the AuthName as issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Principal {
    /// Who vouches for the name: an entity id, an AuthName, an application.
    pub issuer: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// SAML's NameID Format; empty if none was given.
    pub format: Box<str>,
    /// SAML's NameQualifier; empty if none was given.
    pub name_qualifier: Box<str>,
    /// SAML's SPNameQualifier; empty if none was given.
    pub sp_name_qualifier: Box<str>,
    /// The issuer's own session index, by which it may ask for one session to end.
    pub session_index: Option<Box<str>>,
}

impl Principal {
    /// A principal with nothing but a name.
    #[must_use]
    pub fn named(issuer: &str, name: &str) -> Self {
        Self { issuer: issuer.into(), name: name.into(), ..Self::default() }
    }

    /// Whether both are the same person: everything but the session index.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        (&self.issuer, &self.name, &self.format, &self.name_qualifier, &self.sp_name_qualifier)
            == (&other.issuer, &other.name, &other.format, &other.name_qualifier, &other.sp_name_qualifier)
    }
    /// Names the person in storage, the same for all that [`Principal::is_same_person`]: SHA-256 of the parts, each
    /// behind its length, so that no two persons look the same and no name is too long for a key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in [&self.issuer, &self.name, &self.format, &self.name_qualifier, &self.sp_name_qualifier] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_fingerprint_and_shares_it_with_nobody() {
        let ann = Principal::named("login", "ann");
        let elsewhere = Principal { session_index: Some("7".into()), ..ann.clone() };
        assert_eq!(ann.fingerprint(), elsewhere.fingerprint());
        for other in [
            Principal::named("login", "bob"),
            Principal::named("logina", "nn"),
            Principal { format: "x".into(), ..ann.clone() },
            Principal { name: "an".into(), format: "n".into(), ..ann.clone() },
        ] {
            assert_ne!(ann.fingerprint(), other.fingerprint(), "{other:?}");
        }
    }
}
