//! LemonLDAP::NG's own session class keeps its sessions in Cloakroom.

use std::process::Command;

use interop::{Cloakroom, Error, Result, available};

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
[llng]
soap = true
key_file = \"llng.key\"
[[client]]
id = \"portal\"
from = [\"127.0.0.1\"]
basic = { user = \"portal\", password_file = \"portal.password\" }
may = [\"sessions\", \"admin_sessions\", \"secrets\"]
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

#[test]
fn its_class_for_soap_finds_every_value_as_it_was_and_nothing_after_the_end() {
    let Some(mut perl) = available(perl()).unwrap() else { return };
    let files = [("llng.key", KEY), ("portal.password", "open sesame\n")];
    let cloakroom = Cloakroom::start_with(CONFIGURATION, &files).unwrap();
    let url = format!("http://{}/adminSessions", cloakroom.server());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lemonldap/soap.pl");
    let output = perl.args([script, &url, KEY]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "done\n", "{}\n{}", String::from_utf8_lossy(&output.stderr), cloakroom.log());
    assert!(!cloakroom.log().contains("open sesame"));
}
