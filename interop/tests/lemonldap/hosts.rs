//! A real portal and real handlers of LemonLDAP::NG, with nothing changed on their side but who keeps the sessions.
//!
//! The portal keeps them here over REST. Of the handlers one asks over SOAP and one over REST, as remote hosts do. None
//! of them has a cache, so that what each says is what Cloakroom says.

use interop::{Cloakroom, LemonLdap, LemonLdapHandler, LemonLdapManager, Result, available, raw};
use serde_json::{Value, json};

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
[llng]
soap = true
rest = true
key_file = \"llng.key\"
timeout = \"20h\"
exported_attributes = \"+ uid cn mail _whatToTrace\"
[[client]]
id = \"handlers\"
from = [\"127.0.0.1\"]
may = [\"sessions\"]
[[client]]
id = \"portal\"
from = [\"127.0.0.1\"]
basic = { user = \"portal\", password_file = \"portal.password\" }
may = [\"sessions\", \"admin_sessions\", \"secrets\"]
[[client]]
id = \"operators\"
bearer_file = \"operators.token\"
may = [\"sessions\", \"admin_sessions\"]
";

/// The classes that keep sessions elsewhere.
const REST: &str = "Lemonldap::NG::Common::Apache::Session::REST";
const SOAP: &str = "Lemonldap::NG::Common::Apache::Session::SOAP";

/// A portal, two handlers, and who keeps their sessions.
struct Site {
    cloakroom: Cloakroom,
    portal: LemonLdap,
    handlers: [LemonLdapHandler; 2],
    /// The members of the portal's configuration that say who keeps its sessions.
    kept_here: Value,
}

impl Site {
    /// With these members in the configuration of the portal.
    fn start(settings: Value) -> Option<Self> {
        available(Self::start_with(settings)).unwrap()
    }

    fn start_with(settings: Value) -> Result<Self> {
        let files = [
            ("llng.key", LemonLdap::KEY),
            ("portal.password", "open sesame\n"),
            ("operators.token", "the-token-of-the-operators-0123456789"),
        ];
        let cloakroom = Cloakroom::start_with(CONFIGURATION, &files)?;
        let over_rest = |kind: &str| {
            json!({
                "baseUrl": format!("http://{}/sessions/{kind}", cloakroom.server()),
                "user": "portal",
                "password": "open sesame",
                "realm": "cloakroom",
            })
        };
        let mut kept_here = json!({
            "globalStorage": REST,
            "globalStorageOptions": over_rest("global"),
            "persistentStorage": REST,
            "persistentStorageOptions": over_rest("persistent"),
            "localSessionStorage": "",
            "localSessionStorageOptions": {},
            "handlerInternalCache": 0,
        });
        if let (Value::Object(all), Value::Object(settings)) = (&mut kept_here, settings) {
            all.extend(settings);
        }
        let portal = LemonLdap::start_with(kept_here.clone())?;
        let proxy = json!({ "proxy": format!("http://{}/sessions", cloakroom.server()) });
        let base = json!({ "baseUrl": format!("http://{}/sessions/global", cloakroom.server()) });
        let handlers = [LemonLdapHandler::start(SOAP, proxy)?, LemonLdapHandler::start(REST, base)?];
        Ok(Self { cloakroom, portal, handlers, kept_here })
    }

    /// Both handlers let them pass, and say to the application who that is.
    fn lets_pass(&self, id: &str, user: &str) {
        for handler in &self.handlers {
            let answer = handler.asked_with(id).unwrap();
            let told = (answer.status, answer.header("auth-user"));
            assert_eq!(told, (200, Some(user)), "{}\n{}", handler.log(), self.cloakroom.log());
        }
    }

    /// Both handlers send them to the portal, and the portal does not know them.
    fn sends_away(&self, id: &str) {
        for handler in &self.handlers {
            let answer = handler.asked_with(id).unwrap();
            assert_eq!(answer.status, 302, "{}\n{}", handler.log(), self.cloakroom.log());
            assert!(answer.header("location").unwrap().starts_with("http://auth.example.com/"));
        }
        assert_eq!(self.mine(id).status, 401);
    }

    /// What the portal says to whoever asks for their own session.
    fn mine(&self, id: &str) -> raw::Response {
        raw::get(self.portal.address(), "/session/my/global", &self.with(id)).unwrap()
    }

    fn with(&self, id: &str) -> String {
        format!("Cookie: {}={id}\r\nAccept: application/json\r\n", LemonLdap::COOKIE)
    }

    /// What the operator of this Cloakroom is told.
    fn operator(&self, arguments: &[&str]) -> String {
        let here = ["--config", "cloakroom.toml", "--json"];
        let output = self.cloakroom.execute(&[&["sessions"], arguments, &here].concat()).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many sessions somebody has.
    fn count_of(&self, name: &str) -> usize {
        self.operator(&["list", "--issuer", "llng", "--person", name]).lines().count()
    }
}

#[test]
fn whoever_logs_in_at_the_portal_passes_its_handlers_until_they_log_out() {
    let Some(site) = Site::start(json!({})) else { return };
    let (ann, ben) = (site.portal.log_in("dwho").unwrap(), site.portal.log_in("rtyler").unwrap());
    site.lets_pass(&ann, "dwho");
    site.lets_pass(&ben, "rtyler");
    site.sends_away(&"0".repeat(64));
    assert!(site.mine(&ann).text().contains("dwho"));
    // Nothing lies where it would without us.
    let files = std::fs::read_dir(site.portal.directory().join("sessions")).unwrap();
    assert_eq!(files.filter(|file| file.as_ref().unwrap().path().is_file()).count(), 0);

    let left = raw::get(site.portal.address(), "/?logout=1", &site.with(&ann)).unwrap();
    assert_eq!(left.status, 200, "{}", left.text());
    site.sends_away(&ann);
    site.lets_pass(&ben, "rtyler");
}

#[test]
fn whom_an_operator_ends_is_out_at_the_portal_and_its_handlers() {
    let Some(site) = Site::start(json!({})) else { return };
    let (first, second) = (site.portal.log_in("dwho").unwrap(), site.portal.log_in("dwho").unwrap());
    let other = site.portal.log_in("msmith").unwrap();
    assert_eq!((site.count_of("dwho"), site.count_of("msmith")), (2, 1));
    site.operator(&["end", "--issuer", "llng", "--person", "dwho"]);
    site.sends_away(&first);
    site.sends_away(&second);
    site.lets_pass(&other, "msmith");
    // They may come back.
    site.lets_pass(&site.portal.log_in("dwho").unwrap(), "dwho");
}

#[test]
fn a_portal_that_allows_somebody_one_session_ends_the_one_before() {
    let Some(site) = Site::start(json!({ "singleSession": 1 })) else { return };
    let (first, other) = (site.portal.log_in("dwho").unwrap(), site.portal.log_in("rtyler").unwrap());
    site.lets_pass(&first, "dwho");
    let second = site.portal.log_in("dwho").unwrap();
    site.sends_away(&first);
    site.lets_pass(&second, "dwho");
    site.lets_pass(&other, "rtyler");
}

#[test]
fn what_a_portal_remembers_of_somebody_is_there_at_their_next_login() {
    let Some(site) = Site::start(json!({ "loginHistoryEnabled": 1 })) else { return };
    let logins = |id: &str| {
        let history = site.portal.tool("lemonldap-ng-sessions", &["get", id]).unwrap();
        let history: Value = serde_json::from_str(&history).unwrap();
        let successes = history.pointer("/0/_loginHistory/successLogin").and_then(Value::as_array);
        successes.map_or(0, Vec::len)
    };
    let first = site.portal.log_in("dwho").unwrap();
    assert_eq!(logins(&first), 1);
    raw::get(site.portal.address(), "/?logout=1", &site.with(&first)).unwrap();
    site.sends_away(&first);
    assert_eq!(logins(&site.portal.log_in("dwho").unwrap()), 2);
    assert_eq!(logins(&site.portal.log_in("rtyler").unwrap()), 1);
}

#[test]
fn its_own_program_for_operators_reads_changes_and_ends_sessions() {
    let Some(site) = Site::start(json!({})) else { return };
    let (ann, ben) = (site.portal.log_in("dwho").unwrap(), site.portal.log_in("rtyler").unwrap());
    let tool = |arguments: &[&str]| site.portal.tool("lemonldap-ng-sessions", arguments).unwrap();
    tool(&["setKey", &ann, "mail", "doctor@example.org"]);
    for handler in &site.handlers {
        assert_eq!(handler.asked_with(&ann).unwrap().header("auth-mail"), Some("doctor@example.org"));
    }
    let read: Value = serde_json::from_str(&tool(&["get", &ann])).unwrap();
    assert_eq!(read.pointer("/0/mail"), Some(&Value::from("doctor@example.org")));
    tool(&["delKey", &ann, "mail"]);
    let read: Value = serde_json::from_str(&tool(&["get", &ann])).unwrap();
    assert_eq!(read.pointer("/0/mail"), None);
    tool(&["delete", &ann]);
    site.sends_away(&ann);
    site.lets_pass(&ben, "rtyler");
}

#[test]
fn a_handler_that_notes_the_last_use_loses_nothing_of_the_session() {
    let idle = json!({ "timeoutActivity": 7200, "timeoutActivityInterval": 0 });
    let Some(site) = Site::start(idle.clone()) else { return };
    let base = json!({
        "baseUrl": format!("http://{}/sessions/global", site.cloakroom.server()),
        "user": "portal", "password": "open sesame", "realm": "cloakroom",
    });
    let handler = LemonLdapHandler::start_with(REST, base, idle).unwrap();
    let id = site.portal.log_in("dwho").unwrap();
    let last_seen = || {
        let read = site.portal.tool("lemonldap-ng-sessions", &["get", &id]).unwrap();
        let read: Value = serde_json::from_str(&read).unwrap();
        let number = |name: &str| {
            let value = read.pointer(name).unwrap();
            value.as_u64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
        };
        (number("/0/_lastSeen"), read.as_array().unwrap().first().unwrap().as_object().unwrap().len())
    };
    let (seen, attributes) = last_seen();
    // It counts in seconds.
    while last_seen().0 == seen {
        assert_eq!(handler.asked_with(&id).unwrap().status, 200, "{}", handler.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(last_seen().1, attributes);
    site.lets_pass(&id, "dwho");
}

#[test]
fn a_portal_can_keep_its_sessions_here_over_soap_too() {
    // It reads and writes as whoever the server says it is, so it asks where only it may.
    let Some(site) = Site::start(json!({})) else { return };
    let proxy = json!({
        "proxy": format!("http://{}/adminSessions", site.cloakroom.server()),
        "User": "portal", "Password": "open sesame",
    });
    let mut settings = site.kept_here.clone();
    settings["globalStorage"] = SOAP.into();
    settings["globalStorageOptions"] = proxy;
    let portal = LemonLdap::start_with(settings).unwrap();
    let id = portal.log_in("dwho").unwrap();
    site.lets_pass(&id, "dwho");
    let left = raw::get(portal.address(), "/?logout=1", &site.with(&id)).unwrap();
    assert_eq!(left.status, 200, "{}", left.text());
    site.sends_away(&id);
}

#[test]
fn its_manager_explores_sessions_and_ends_them() {
    let Some(site) = Site::start(json!({})) else { return };
    let Some(manager) = available(LemonLdapManager::start_with(site.kept_here.clone())).unwrap() else {
        return;
    };
    let ann = [site.portal.log_in("dwho").unwrap(), site.portal.log_in("dwho").unwrap()];
    let ben = site.portal.log_in("rtyler").unwrap();
    let explore = |ask: &str| {
        let told = manager.explore(ask).unwrap();
        let is_well = told.get("error").is_none();
        assert!(is_well, "{told} {}\n{}", manager.log(), site.cloakroom.log());
        told
    };
    let by_letter = explore("global?groupBy=substr(_whatToTrace,1)");
    let expected = json!([{ "value": "d", "count": 2 }, { "value": "r", "count": 1 }]);
    assert_eq!(by_letter.get("values"), Some(&expected));
    let by_name = explore("global?_whatToTrace=d*&groupBy=_whatToTrace");
    assert_eq!(by_name.get("values"), Some(&json!([{ "value": "dwho", "count": 2 }])));
    assert_eq!(explore("global?_whatToTrace=dwho").get("count"), Some(&2.into()));
    let by_network = explore("global?groupBy=net4(ipAddr,1)");
    assert_eq!(by_network.get("values"), Some(&json!([{ "value": "127", "count": 3 }])));
    assert_eq!(explore(&format!("global/{ben}")).pointer("/uid"), Some(&"rtyler".into()));

    let [first, second] = &ann;
    assert_eq!(manager.end(first).unwrap().get("result"), Some(&1.into()));
    site.sends_away(first);
    site.lets_pass(second, "dwho");
    assert_eq!(explore("global?_whatToTrace=dwho").get("count"), Some(&1.into()));
}
