//! Applications behind the gateway, put there as the book says: configuration and code are those of its pages.
//!
//! Each counts the visits of a visitor and says how it believes to be called, in one line. So one list of promises is for
//! all of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use interop::raw::{self, Response};
use interop::{Cloakroom, Error, Nginx, Port, Process, Result, available, find};
use tempfile::TempDir;

use crate::form::Form;
use crate::given::{self, PASSWORD, USER};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

#[test]
fn php_behind_nginx_keeps_the_promises_of_its_page() {
    let page = Page::read("php");
    let Some(running) = available(php(&page)).unwrap() else { return };
    keeps_the_promises(&page.gateway(running.address, &[]));
}

#[test]
fn rack_keeps_the_promises_of_its_page() {
    let page = Page::read("rails");
    let puma = find("puma", "puma").map(|puma| {
        Running::start(&page, &["gateway_session.rb", "config.ru"], |address| {
            let mut command = Command::new(puma);
            command.args(["--environment", "production", "--bind", &format!("tcp://{address}"), "config.ru"]);
            command
        })
    });
    let Some(running) = available(puma).unwrap() else { return };
    keeps_the_promises(&page.gateway(running.address, &[]));
}

#[test]
fn a_middleware_of_node_keeps_the_promises_of_its_page() {
    // The middleware of the page; what stands around it there needs Express.
    const SERVER: &str = r#"
        const session = require("./gateway_session");
        require("http").createServer((request, response) => session(request, response, () => {
            const count = Number(request.gateway.visits ?? 0) + 1;
            request.change("visits", count);
            const { host, "x-forwarded-proto": scheme } = request.headers;
            response.end(`visit ${count} at ${scheme}://${host}${request.url}\n`);
        })).listen(Number(process.env.PORT), "127.0.0.1");
    "#;
    let page = Page::read("express");
    let node = find("node", "nodejs").map(|node| {
        Running::start(&page, &["gateway_session.js"], |address| {
            let mut command = Command::new(node);
            command.args(["-e", SERVER]).env("PORT", address.port().to_string());
            command
        })
    });
    let Some(running) = available(node).unwrap() else { return };
    keeps_the_promises(&page.gateway(running.address, &[]));
}

#[test]
fn django_keeps_the_promises_of_its_page() {
    const PROJECT: &str = "import sys\n\
        from django.conf import settings\n\
        from django.core.management import execute_from_command_line\n\
        from django.urls import path\n\
        import settings_gateway\n\
        named = {name: value for name, value in vars(settings_gateway).items() if name.isupper()}\n\
        settings.configure(SECRET_KEY='x' * 50, ROOT_URLCONF='__main__', **named)\n\
        import views\n\
        urlpatterns = [path('', views.visits)]\n\
        execute_from_command_line(['', 'runserver', '--noreload', sys.argv[1]])\n";
    let page = Page::read("django");
    assert_eq!(
        page.file("remote.py").split_once('\n').unwrap().1.trim(),
        include_str!("../src/django/remote.py").trim(),
        "the page shows what the administration is tested with"
    );
    let python = Path::new("/usr/bin/python3");
    let has_django = Command::new(python).args(["-c", "import django"]).output();
    let python = match has_django {
        Ok(output) if output.status.success() => Ok(python),
        _ => Err(Error::Missing { program: "Django", package: "python3-django" }),
    };
    let django = python.map(|python| {
        Running::start(&page, &["gateway_session.py", "views.py", "settings_gateway.py"], |address| {
            let mut command = Command::new(python);
            // With `-c`, modules are looked for in the working directory.
            command.args(["-c", PROJECT, &address.to_string()]).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        })
    });
    let Some(running) = available(django).unwrap() else { return };
    keeps_the_promises(&page.gateway(running.address, &[]));
}

#[test]
fn a_static_site_shows_nothing_before_the_login() {
    let page = Page::read("static");
    let site = tempfile::tempdir().unwrap();
    for (name, text) in [("letter.html", "the letter"), ("public/assets/logo.svg", "<svg/>")] {
        let file = site.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let server = page.nginx(site.path());
    let Some(nginx) = available(Nginx::start(1, &server)).unwrap() else { return };
    let cloakroom = page.gateway(nginx.address(), &[("users.htpasswd", &given::htpasswd())]);

    let stranger = visit(&cloakroom, "/letter.html", BROWSER);
    assert_eq!(stranger.status, 303, "{stranger:?}");
    let logo = visit(&cloakroom, "/public/assets/logo.svg", "");
    assert_eq!((logo.status, logo.text().as_str()), (200, "<svg/>"));
    assert_eq!(logo.header("cache-control"), Some("public, max-age=31536000, immutable"));

    let form = visit(&cloakroom, stranger.header("location").unwrap(), BROWSER);
    let welcome = Form::of(&form).fill("user", USER).fill("password", PASSWORD).send(cloakroom.gateway(), "");
    let cookie =
        welcome.cookie("__Host-session").unwrap_or_else(|| panic!("{welcome:?}\n{}", cloakroom.log()));
    let letter = visit(&cloakroom, "/letter.html", &format!("Cookie: {cookie}\r\n"));
    assert_eq!((letter.status, letter.text().as_str()), (200, "the letter"));
    assert_eq!(letter.header("cache-control"), Some("no-store"), "Back shows nothing after a logout");
}

/// What every page promises of its application.
fn keeps_the_promises(cloakroom: &Cloakroom) {
    let told = |count: u32| format!("visit {count} at https://shop.example.org/\n");
    let first = visit(cloakroom, "/", "");
    assert_eq!(first.text(), told(1), "{first:?}\n{}", cloakroom.log());
    assert_eq!(first.header("x-replace-session"), None, "the update header stays inside");
    let cookie = format!("Cookie: {}\r\n", first.cookie("__Host-session").unwrap());
    assert_eq!(visit(cloakroom, "/", &cookie).text(), told(2));
    let third = visit(cloakroom, "/", &cookie);
    assert_eq!(third.text(), told(3));
    assert!(third.all("set-cookie").is_empty(), "{third:?}");
    for spelling in ["X-Session", "x_session", "X.Session", "X_SESSION"] {
        let claim = format!("{spelling}: visits=41\r\n");
        assert_eq!(visit(cloakroom, "/", &claim).text(), told(1), "{spelling}");
        assert_eq!(visit(cloakroom, "/", &format!("{claim}{cookie}")).status, 200);
    }
    assert_eq!(visit(cloakroom, "/", &cookie).text(), told(8));
}

/// A visit that came over TLS to whoever stands before this gateway.
fn visit(cloakroom: &Cloakroom, path: &str, more: &str) -> Response {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example.org\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n{more}\r\n"
    );
    raw::exchange(cloakroom.gateway(), request).unwrap()
}

/// A page of the book.
struct Page(String);

impl Page {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/applications");
        Self(fs::read_to_string(folder.join(name).with_extension("md")).unwrap())
    }

    /// The block whose first line is the name of that file.
    fn file(&self, name: &str) -> &str {
        let blocks =
            self.0.split("```").skip(1).step_by(2).filter_map(|block| Some(block.split_once('\n')?.1));
        let named =
            |block: &&str| block.lines().next().is_some_and(|line| line.split(' ').next_back() == Some(name));
        blocks.into_iter().find(named).unwrap_or_else(|| panic!("the page has no {name}"))
    }

    fn nginx(&self, root: &Path) -> String {
        replaced(
            self.file("nginx.conf"),
            &[("127.0.0.1:9000", "{address}"), ("/srv/shop/public", root.to_str().unwrap())],
        )
    }

    /// The gateway of the page, with a proxy before it that speaks TLS instead.
    fn gateway(&self, upstream: SocketAddr, files: &[(&str, &str)]) -> Cloakroom {
        const TLS: &str =
            "[listen.tls]\ncertificates = [{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }]\n";
        let configuration = replaced(
            self.file("cloakroom.toml"),
            &[
                ("gateway = \"0.0.0.0:443\"", "gateway = \"{gateway}\"\nserver = \"{server}\""),
                // Where our own forms are sent to in a test.
                ("hosts = [\"shop.example.org\"]", "hosts = [\"shop.example.org\", \"127.0.0.1\"]"),
                (TLS, "[gateway]\ntrusted_proxies = [\"127.0.0.1/32\"]\n"),
                ("127.0.0.1:9000", &upstream.to_string()),
            ],
        );
        Cloakroom::start_with(&configuration, files).unwrap()
    }
}

fn replaced(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the page no longer says {from}");
        text.replace(from, to)
    })
}

/// An application that runs from a directory of its own.
struct Running {
    address: SocketAddr,
    _processes: Vec<Process>,
    _port: Option<Port>,
    _nginx: Option<Nginx>,
    _directory: TempDir,
}

impl Running {
    /// Starts what `command` makes of an address, where these files of the page lie.
    fn start(page: &Page, files: &[&str], command: impl FnOnce(SocketAddr) -> Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(directory.path().join(file), page.file(file)).unwrap();
        }
        let port = Port::claim().unwrap();
        let mut command = command(port.address());
        command.current_dir(directory.path());
        let mut process = Process::spawn(command, directory.path().join("log")).unwrap();
        process.wait_for(port.address()).unwrap();
        Self {
            address: port.address(),
            _processes: vec![process],
            _port: Some(port),
            _nginx: None,
            _directory: directory,
        }
    }
}

/// php-fpm on a socket, and nginx before it.
fn php(page: &Page) -> Result<Running> {
    let program = ["php-fpm8.4", "php-fpm8.3", "php-fpm8.2"]
        .into_iter()
        .find_map(|name| find(name, "php-fpm").ok())
        .ok_or(Error::Missing { program: "php-fpm", package: "php-fpm" })?;
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    for file in ["gateway_session.php", "index.php"] {
        fs::write(place.join(file), page.file(file)).unwrap();
    }
    let socket = place.join("php.sock");
    let pool = format!(
        "[global]\nerror_log = /dev/stderr\ndaemonize = no\n[shop]\nlisten = {}\nuser = root\npm = static\npm.max_children = 2\n",
        socket.display()
    );
    fs::write(place.join("php-fpm.conf"), pool).unwrap();
    let mut command = Command::new(program);
    command.arg("--fpm-config").arg(place.join("php-fpm.conf")).args(["--allow-to-run-as-root", "-n"]);
    let mut process = Process::spawn(command, place.join("log"))?;
    process.wait_until(|| socket.exists())?;
    let server = replaced(
        &page.nginx(place),
        &[
            ("/run/php/php-fpm.sock", socket.to_str().unwrap()),
            ("include fastcgi_params", "include /etc/nginx/fastcgi_params"),
        ],
    );
    let nginx = Nginx::start(1, &server)?;
    Ok(Running {
        address: nginx.address(),
        _processes: vec![process],
        _port: None,
        _nginx: Some(nginx),
        _directory: directory,
    })
}
