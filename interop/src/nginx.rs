//! nginx, as a plain proxy or as an upstream.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::error::Result;
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: Port,
    _directory: TempDir,
}

impl Nginx {
    /// Starts nginx with that many workers and `http` as the text of its `http` block, in which `{address}`
    /// stands for where to listen and `{directory}` for a directory of its own.
    pub fn start(workers: usize, http: &str) -> Result<Self> {
        Self::start_for(4096, workers, http)
    }

    /// The same for that many connections a worker, those to upstreams included.
    pub fn start_for(connections: u32, workers: usize, http: &str) -> Result<Self> {
        let program = find("nginx", "nginx-light")?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        let text = format!(
            "daemon off;\n\
             {user}\
             worker_processes {workers};\n\
             pid {{directory}}/nginx.pid;\n\
             error_log stderr warn;\n\
             events {{ worker_connections {connections}; }}\n\
             http {{\n\
             access_log off;\n\
             client_body_temp_path {{directory}}/body;\n\
             proxy_temp_path {{directory}}/proxy;\n\
             fastcgi_temp_path {{directory}}/fastcgi;\n\
             uwsgi_temp_path {{directory}}/uwsgi;\n\
             scgi_temp_path {{directory}}/scgi;\n\
             {http}\n\
             }}\n",
            // Started by root, workers would change to a user who may not read the directory.
            user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" },
        );
        let text = scratch::fill(&text, port.address(), place);
        let configuration = scratch::write(place, "nginx.conf", &text)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(place).arg("-c").arg(configuration);
        command.args(["-e", "stderr"]);
        let mut process = Process::spawn(command, place.join("log"))?;
        process.wait_for(port.address())?;
        Ok(Self { process, port, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The process and its workers.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{available, raw};

    #[test]
    fn nginx_answers() {
        let server = r#"server { listen {address}; location / { return 200 "hello"; } }"#;
        let Some(nginx) = available(Nginx::start(1, server)).unwrap() else {
            return;
        };
        let response = raw::get(nginx.address(), "/", "").unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(nginx.process().group().len(), 2);
    }
}
