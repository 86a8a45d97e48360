//! Who is let in.

use std::net::Ipv4Addr;

use super::guesses::AT_ONCE;
use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn clients() -> Clients {
    let from = |networks: &[&str]| networks.iter().map(|network| network.parse().unwrap()).collect();
    Clients::new(vec![
        Client { from: from(&["127.0.0.1/32"]), ..Client::new("handlers", vec![Right::Sessions]) },
        Client {
            from: from(&["127.0.0.0/8"]),
            basic: Some(Client::basic("portal", "pass:word")),
            ..Client::new("portal", vec![Right::Sessions, Right::AdminSessions])
        },
        Client {
            token: Some(SecretHash::of(b"token")),
            ..Client::new("operators", vec![Right::Sessions, Right::Secrets])
        },
    ])
}

fn with(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !authorization.is_empty() {
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
    }
    headers
}

fn basic(joined: &str) -> String {
    format!("Basic {}", STANDARD.encode(joined))
}

fn admitted(clients: &Clients, from: IpAddr, proof: &str, right: Right) -> Result<String, Denied> {
    let caller = Caller { address: from, certificate: None };
    clients.admit(&caller, &with(proof), right).map(|client| client.id.to_string())
}

#[test]
fn a_proof_says_more_than_the_network_it_comes_from() {
    let clients = clients();
    let who = |proof: &str| admitted(&clients, HERE, proof, Right::Sessions).unwrap();
    assert_eq!(who(""), "handlers");
    assert_eq!(who(&basic("portal:pass:word")), "portal");
    assert_eq!(who("bEaReR token"), "operators");
}

#[test]
fn who_may_have_a_password_is_asked_for_it() {
    let clients = clients();
    let denied = |from, proof: &str, right| admitted(&clients, from, proof, right).unwrap_err();
    // A library sends it only once it was asked.
    assert_eq!(denied(HERE, "", Right::AdminSessions), Denied::Unknown { by_password: true });
    let mut asked = HeaderMap::new();
    Denied::Unknown { by_password: true }.tell(&mut asked);
    let schemes: Vec<_> = asked.get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(schemes, [BEARER, BASIC]);
    assert_eq!(denied(HERE, "", Right::Storage).status(), StatusCode::FORBIDDEN);
    assert_eq!(denied(HERE, "Bearer token", Right::AdminSessions).status(), StatusCode::FORBIDDEN);
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    let proof = basic("portal:pass:word");
    assert_eq!(denied(elsewhere, &proof, Right::Sessions).status(), StatusCode::FORBIDDEN);
    assert_eq!(denied(elsewhere, "", Right::Sessions).status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn what_is_no_proof_proves_nobody() {
    let clients = clients();
    let elsewhere = IpAddr::from([127, 0, 0, 9]);
    for wrong in [
        "Basic",
        "Basic ",
        "Basic ?",
        "Bearer",
        "Bearer ",
        "Digest token",
        "token",
        &basic("portal"),
        &basic("portal:pass:word:"),
        &basic(":"),
    ] {
        let clients = Clients::new(clients.all.to_vec());
        let denied = admitted(&clients, elsewhere, wrong, Right::Sessions).unwrap_err();
        assert_eq!(denied.status(), StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[test]
fn passwords_cannot_be_guessed_for_long_and_right_ones_are_never_counted() {
    let clients = clients();
    let attacker = IpAddr::from([127, 0, 0, 6]);
    let right = basic("portal:pass:word");
    for _ in 0..10 * AT_ONCE {
        assert!(admitted(&clients, attacker, &right, Right::AdminSessions).is_ok());
    }
    let tries: Vec<_> = (0..AT_ONCE + 5)
        .map(|n| {
            admitted(&clients, attacker, &basic(&format!("portal:{n}")), Right::AdminSessions).unwrap_err()
        })
        .collect();
    let (heard, waiting) = tries.split_at(AT_ONCE as usize);
    assert!(heard.iter().all(|denied| *denied == Denied::Unknown { by_password: true }), "{heard:?}");
    assert!(waiting.iter().all(|denied| matches!(denied, Denied::TooMany(_))), "{waiting:?}");
    // Nobody learns from there that it was right.
    let denied = admitted(&clients, attacker, &right, Right::AdminSessions).unwrap_err();
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    let mut told = HeaderMap::new();
    denied.tell(&mut told);
    assert!(told.contains_key(RETRY_AFTER));
    // A token is not guessed; others are not kept out.
    assert!(admitted(&clients, attacker, "Bearer token", Right::Sessions).is_ok());
    assert!(admitted(&clients, HERE, &right, Right::AdminSessions).is_ok());
}

#[test]
fn a_certificate_proves_whom_it_is_made_out_to() {
    let operators =
        Client { subject: Some("CN=operators".into()), ..Client::new("operators", vec![Right::Sessions]) };
    let clients = Clients::new(vec![operators]);
    let shown = |subject: Option<&str>| {
        let certificate = subject.map(|subject| {
            Arc::new(ClientCertificate { subject: Some(subject.into()), fingerprint: "00".into() })
        });
        let caller = Caller { address: HERE, certificate };
        clients.admit(&caller, &with(""), Right::Sessions).map(|client| client.id.to_string())
    };
    assert_eq!(shown(Some("CN=operators")), Ok("operators".to_owned()));
    for other in [
        None,
        Some(""),
        Some("CN=operator"),
        Some("cn=operators"),
        Some("CN=operators,O=Example"),
        Some("O=x,CN=operators"),
    ] {
        assert_eq!(shown(other).unwrap_err().status(), StatusCode::UNAUTHORIZED, "{other:?}");
    }
}

#[test]
fn names_and_attributes_are_as_they_are_written() {
    let some = || -> Box<[Box<str>]> { Box::new(["SSO".into(), "mail".into()]) };
    assert!(Names::All.has("any"));
    assert!(Names::Only(some()).has("SSO") && !Names::Only(some()).has("sso"));
    assert!(Attributes::Only(some()).shows("mail") && !Attributes::Only(some()).shows("uid"));
    assert!(Attributes::Further(some()).shows("uid") && Attributes::Usual.shows("uid"));
}

#[test]
fn nothing_shows_a_proof() {
    let shown = format!("{:?}", clients());
    assert!(!shown.contains("pass:word") && !shown.contains("token\"") && shown.contains("SecretHash(..)"));
}
