//! Who a session belongs to.

use aws_lc_rs::digest::{Context, SHA256};

/// SAML's Format of a NameID that names none (SAML core 8.3.1).
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

/// The person that a session belongs to, as the issuer names them.
///
/// The shape is SAML's, which is the most exact of the families: absent parts are empty. LemonLDAP::NG has issuer
/// `llng` and `_whatToTrace` as name; mod_auth_form has the AuthName as issuer.
///
/// SAML has defaults for parts that are absent, and an issuer that spells them out in one message leaves them out in the next: so
/// both name the same person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Principal {
    /// Who vouches for the name: an entity id, an AuthName, an application.
    pub issuer: Box<str>,
    /// The name.
    pub name: Box<str>,
    /// SAML's NameID Format; empty if none was given, which is `urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified`.
    pub format: Box<str>,
    /// SAML's NameQualifier; empty if none was given, which is the issuer.
    pub name_qualifier: Box<str>,
    /// SAML's SPNameQualifier; empty if none was given, which is ourselves: see [`Principal::as_named_to`].
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

    /// The same person, where `entity_id` is what we are called ourselves: an SPNameQualifier that says so says what none says.
    #[must_use]
    pub fn as_named_to(mut self, entity_id: &str) -> Self {
        if *self.sp_name_qualifier == *entity_id {
            self.sp_name_qualifier = Box::default();
        }
        self
    }

    /// Whether both are the same person: everything but the session index, with SAML's defaults for what is absent.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }

    /// Names the person in storage, the same for all that [`Principal::is_same_person`]: SHA-256 of the parts, each
    /// behind its length, so that no two persons look the same and no name is too long for a key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in self.parts() {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }

    /// What makes the person, with nothing where it says what nothing says.
    fn parts(&self) -> [&str; 5] {
        let format = if *self.format == *UNSPECIFIED { "" } else { &*self.format };
        let name_qualifier = if self.name_qualifier == self.issuer { "" } else { &*self.name_qualifier };
        [&self.issuer, &self.name, format, name_qualifier, &self.sp_name_qualifier]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_what_saml_says_it_is() {
        let ann = Principal::named("https://idp.example", "ann");
        let spelt_out = Principal {
            format: UNSPECIFIED.into(),
            name_qualifier: "https://idp.example".into(),
            sp_name_qualifier: "https://sp.example".into(),
            ..ann.clone()
        };
        assert!(!ann.is_same_person(&spelt_out), "it names her to somebody else");
        let to_us = spelt_out.clone().as_named_to("https://sp.example");
        assert!(ann.is_same_person(&to_us) && to_us.is_same_person(&ann));
        assert_eq!(ann.fingerprint(), to_us.fingerprint());
        assert_eq!(spelt_out.clone().as_named_to("https://another.example"), spelt_out);
        // What is no default is a part of the name.
        for other in [
            Principal {
                format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into(),
                ..ann.clone()
            },
            Principal { name_qualifier: "https://another.example".into(), ..ann.clone() },
        ] {
            assert!(!ann.is_same_person(&other));
            assert_ne!(ann.fingerprint(), other.fingerprint());
        }
    }

    #[test]
    fn who_has_nothing_but_a_name_keeps_the_fingerprint_of_the_first_version() {
        let fingerprint = Principal::named("login", "ann").fingerprint();
        let hexadecimal: String = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hexadecimal, "d351996a4be0605851eefa1f68c34f4015638a64aa67a8eb27d9cc6c922ee80e");
    }

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
