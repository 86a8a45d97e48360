//! Prometheus, which scrapes something of the test's, and promtool, which judges metrics and rules.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::{raw, scratch};

/// The Debian package of both.
const PACKAGE: &str = "prometheus";

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    port: Port,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts Prometheus, which scrapes `target` each second as the job `cloakroom` and evaluates the file `rules`.
    pub fn scraping(target: SocketAddr, rules: &Path) -> Result<Self> {
        let program = find("prometheus", PACKAGE)?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [ {rules} ]\n\
             scrape_configs:\n\
             - job_name: cloakroom\n\
            \x20 static_configs: [ {{ targets: [ \"{target}\" ] }} ]\n",
            rules = rules.display(),
        );
        let configuration = scratch::write(place, "prometheus.yml", &text)?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", place.join("data").display()));
        command.arg(format!("--web.listen-address={}", port.address()));
        command.arg("--log.level=warn");
        let mut process = Process::spawn(command, place.join("log"))?;
        let address = port.address();
        process.wait_until(|| raw::get(address, "/-/ready", "").is_ok_and(|answer| answer.status == 200))?;
        Ok(Self { process, port, _directory: directory })
    }

    /// The value of an expression of PromQL at this moment, or what is wrong with the expression.
    pub fn evaluate(&self, expression: &str) -> Result<std::result::Result<Value, String>> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut answer = self.ask(&format!("/api/v1/query?query={encoded}"))?;
        let result = answer.pointer_mut("/data/result").map(Value::take);
        Ok(result.ok_or_else(|| answer.to_string()))
    }

    /// Asks its HTTP interface.
    pub fn ask(&self, target: &str) -> Result<Value> {
        let answer = raw::get(self.port.address(), target, "")?;
        Ok(serde_json::from_str(&answer.text()).unwrap_or(Value::Null))
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Runs promtool in `directory`, and gives it `input`.
pub fn promtool(directory: &Path, arguments: &[&str], input: &str) -> Result<Output> {
    use std::io::Write as _;

    let program = find("promtool", PACKAGE)?;
    let failed = || Error::system("running promtool");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(failed())?;
    }
    child.wait_with_output().map_err(failed())
}
