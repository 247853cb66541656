//! The peer: nginx on loopback, and `curl` as its client.
//!
//! One process of each, with a certificate made for the run.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::control::{LOOK_AGAIN, PATIENCE};
use super::home::ms_since;

/// Where Debian puts programs that are for root, besides PATH.
const SYSTEM_PROGRAMS: &str = "/usr/sbin";

/// The program `name`; `None`, and a word about what that means, where there is none.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push(SYSTEM_PROGRAMS.into());
    let found = folders.into_iter().map(|folder| folder.join(name));
    let found = found.into_iter().find(|path| path.is_file());
    if found.is_none() {
        super::say(&format!(
            "{name} is not installed, so nothing is compared with it: apt-get install {name}"
        ));
    }
    found
}

/// A server of the files below [`Nginx::root`].
pub(super) struct Nginx {
    server: Child,
    curl: PathBuf,
    certificate: PathBuf,
    root: PathBuf,
    tls: u16,
    plain: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Nginx {
    /// Starts it in a new folder; `None` where a program is missing.
    pub(super) fn start(dir: &Path) -> Result<Option<Self>> {
        let (nginx, curl) = (program("nginx"), program("curl"));
        let (Some(nginx), Some(curl), Some(openssl)) = (nginx, curl, program("openssl")) else {
            return Ok(None);
        };
        let root = dir.join("www");
        fs::create_dir_all(&root)?;
        let certificate = dir.join("cert.pem");
        make_certificate(&openssl, &certificate, &dir.join("key.pem"))?;
        let (tls, plain) = (free_port()?, free_port()?);
        let config = dir.join("nginx.conf");
        fs::write(&config, configuration(dir, tls, plain))?;
        let log = fs::File::create(dir.join("error.log"))?;
        let server = Command::new(&nginx)
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(&config)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("nginx did not start")?;
        let mut started = Self {
            server,
            curl,
            certificate,
            root,
            tls,
            plain,
        };
        started.wait(dir)?;
        Ok(Some(started))
    }

    fn wait(&mut self, dir: &Path) -> Result<()> {
        let begun = Instant::now();
        let at = SocketAddr::from(([127, 0, 0, 1], self.tls));
        while TcpStream::connect(at).is_err() {
            if self.server.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(dir.join("error.log")).unwrap_or_default();
                bail!("nginx does not answer: {}", said.trim());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The folder that is served.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of it is, without TLS.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.plain)
    }

    /// Milliseconds that one `curl` takes for all of `paths`, into the folder `to`.
    pub(super) fn curl_ms(&self, scheme: Scheme, paths: &[String], to: &Path) -> Result<f64> {
        let base = match scheme {
            Scheme::Tls => format!("https://127.0.0.1:{}", self.tls),
            Scheme::Plain => format!("http://127.0.0.1:{}", self.plain),
        };
        let mut command = Command::new(&self.curl);
        command
            // No settings of whoever measures.
            .arg("--disable")
            .args(["--silent", "--show-error", "--fail", "--create-dirs"])
            .arg("--cacert")
            .arg(&self.certificate)
            .stdin(Stdio::null())
            .current_dir(to);
        for path in paths {
            let url = format!("{base}/{path}");
            let name = path.split_once('/').map_or(path.as_str(), |(_, name)| name);
            command.args(["--output", name, &url]);
        }
        let begun = Instant::now();
        let out = command.output().context("curl did not start")?;
        let took = ms_since(begun);
        ensure!(
            out.status.success(),
            "curl: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        );
        Ok(took)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Tls,
    Plain,
}

fn make_certificate(openssl: &Path, certificate: &Path, key: &Path) -> Result<()> {
    let out = Command::new(openssl)
        .args(["req", "-x509", "-nodes", "-days", "2"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output()
        .context("openssl did not start")?;
    ensure!(
        out.status.success(),
        "openssl made no certificate: {}",
        String::from_utf8_lossy(&out.stderr).trim()
    );
    Ok(())
}

/// A port that was free a moment ago: nginx cannot be told to take any and to say which.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// One process in the foreground, so that its end is the end of all of it.
fn configuration(dir: &Path, tls: u16, plain: u16) -> String {
    let dir = dir.display();
    format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n\
         client_body_temp_path {dir}/body;\n  proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi;\n  uwsgi_temp_path {dir}/uwsgi;\n\
         scgi_temp_path {dir}/scgi;\n\
         server {{\n    listen 127.0.0.1:{plain};\n    listen 127.0.0.1:{tls} ssl;\n\
         ssl_certificate cert.pem;\n    ssl_certificate_key key.pem;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n    root {dir}/www;\n  }}\n}}\n"
    )
}
