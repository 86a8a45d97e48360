//! LemonLDAP::NG's own session classes, as Debian has them, keep their sessions in Cloakroom.

use std::path::Path;
use std::process::Command;

use interop::{Cloakroom, Error, Result, available};

use crate::given;

mod acts;
mod asks;
mod example;
mod hosts;

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
[llng]
soap = true
rest = true
key_file = \"llng.key\"
[[client]]
id = \"portal\"
from = [\"127.0.0.1\"]
basic = { user = \"portal\", password_file = \"portal.password\" }
may = [\"sessions\", \"admin_sessions\", \"secrets\"]
";

/// What handlers of the type AuthBasic, and scripts that log people in, need beside that.
const WITH_LOGINS: &str = "\
[[client]]
id = \"handlers\"
from = [\"127.0.0.1\"]
may = [\"sessions\"]
[llng.login]
file = \"users.htpasswd\"
[[llng.rule]]
host = \"test1.example.com\"
allow = \"uid = ada\"
";

/// As the portal of its documentation has it.
const KEY: &str = "qwertyuiop123456";

/// Perl, if it has the class.
fn perl() -> Result<Command> {
    let class = "use Lemonldap::NG::Common::Apache::Session::SOAP;";
    match Command::new("perl").args(["-e", class]).output() {
        Ok(output) if output.status.success() => Ok(Command::new("perl")),
        _ => Err(Error::Missing {
            program: "Lemonldap::NG::Common::Apache::Session::SOAP",
            package: "liblemonldap-ng-common-perl libsoap-lite-perl",
        }),
    }
}

/// Runs a script against a session server of its own: it says what is wrong, and that it came to its end.
fn finds_nothing_wrong(script: &str, arguments: impl FnOnce(&Cloakroom) -> Vec<String>) {
    finds_nothing_wrong_with("", script, arguments);
}

/// The same, with more in its configuration.
fn finds_nothing_wrong_with(more: &str, script: &str, arguments: impl FnOnce(&Cloakroom) -> Vec<String>) {
    let Some(mut perl) = available(perl()).unwrap() else { return };
    let users = given::htpasswd();
    let files = [("llng.key", KEY), ("portal.password", "open sesame\n"), ("users.htpasswd", &users)];
    let cloakroom = Cloakroom::start_with(&format!("{CONFIGURATION}{more}"), &files).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lemonldap").join(script);
    let output = perl.arg(script).args(arguments(&cloakroom)).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "done\n", "{}\n{}", String::from_utf8_lossy(&output.stderr), cloakroom.log());
    assert!(!cloakroom.log().contains("open sesame"));
}

#[test]
fn its_class_for_soap_finds_every_value_as_it_was_and_nothing_after_the_end() {
    finds_nothing_wrong("soap.pl", |cloakroom| {
        vec![format!("http://{}/adminSessions", cloakroom.server()), KEY.to_owned()]
    });
}

#[test]
fn its_handler_logs_people_in_and_scripts_call_every_other_method() {
    for check in ["authbasic", "methods"] {
        finds_nothing_wrong_with(WITH_LOGINS, "people.pl", |cloakroom| {
            [check, &cloakroom.server().to_string(), given::USER, given::PASSWORD].map(str::to_owned).into()
        });
    }
}

macro_rules! its_classes_find_nothing_wrong_with {
    ($($name:ident $check:literal)*) => {$(
        #[test]
        fn $name() {
            let arguments = |cloakroom: &Cloakroom| vec![$check.to_owned(), cloakroom.server().to_string()];
            finds_nothing_wrong("client.pl", arguments);
        }
    )*};
}

its_classes_find_nothing_wrong_with! {
    every_value_survives_every_way_and_nothing_grows "values"
    characters_stay_what_they_are "characters"
    eight_programs_that_write_at_once_by_both_protocols_lose_nothing "writers"
    sixty_programs_that_have_all_read_before_one_writes_lose_nothing "crowd"
    who_was_ended_is_not_brought_back_by_who_has_it_still "dead"
    what_is_deleted_is_gone "removal"
    lists_and_searches_find_what_is_there "lists"
    sessions_of_all_kinds_are_made_read_changed_and_removed "sessions"
}
