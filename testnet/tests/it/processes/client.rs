//! A client that does to a gateway what l3afd does: a bare GET, redirects, exactly 200, a body that is
//! used however short it is, and an extractor that checks nothing and makes no parent directories.

use std::fs;
use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::home::Home;

/// Longer than any answer may take: l3afd itself would wait for ever.
pub(super) const AT_ONCE: Duration = Duration::from_secs(5);
/// What Go's client follows.
const REDIRECTS_MAX: usize = 10;

/// What a server answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Whether nothing came any more before all was there.
    stalled: bool,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks as Go's client does, and takes what comes until the end, an error or a stall.
fn exchange(address: &str, method: &str, path: &str, more: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(AT_ONCE)).expect("a time-out");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Accept-Encoding: gzip\r\n{more}Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("asked");
    let mut all = Vec::new();
    let stalled = match stream.read_to_end(&mut all) {
        Ok(_) => false,
        Err(e) => matches!(
            e.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ),
    };
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        return Answer {
            status: 0,
            head: String::new(),
            body: all,
            stalled,
        };
    };
    let head = String::from_utf8(all[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answer {
        status: status.expect("a status"),
        body: all[end + 4..].to_vec(),
        head,
        stalled,
    }
}

/// What a gateway answers, which it does at once.
pub(super) fn ask(address: &str, method: &str, path: &str, more: &str) -> Answer {
    let answer = exchange(address, method, path, more);
    assert!(!answer.stalled, "{method} {path} is answered at once");
    assert_ne!(answer.status, 0, "{method} {path} is answered");
    answer
}

pub(super) fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, "")
}

/// Starts a home's node with a gateway in trusted mode and one in normal mode; their addresses.
pub(super) fn with_gateways(home: &mut Home) -> [String; 2] {
    home.configure(
        "listen = [\"127.0.0.1:0\"]\nmdns = false\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\n\
         [[gateway]]\nlisten = \"127.0.0.1:0\"\nmode = \"normal\"\n",
    );
    home.start();
    let status = home.ok(&["node", "status"]);
    ["trusted", "normal"].map(|mode| {
        let mut lines = status.lines();
        let found = lines.find_map(|line| {
            let line = line.strip_prefix("gateways\thttp://")?;
            line.strip_suffix(mode)
                .map(|address| address.trim().to_owned())
        });
        found.expect("a gateway")
    })
}

/// The same, of the trusted one.
pub(super) fn with_gateway(home: &mut Home) -> String {
    let [trusted, _] = with_gateways(home);
    trusted
}

/// l3afd, as far as it has to do with a repository.
pub(super) struct L3afd {
    /// `[ebpf-repo] url`: an address, and a path.
    pub(super) repo: (String, String),
    /// `bpf-dir`.
    pub(super) folder: PathBuf,
}

/// A program of its payload.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) artifact: &'a str,
}

impl L3afd {
    /// The folder of the program: as it is, if it is there in whatever state; else downloaded.
    pub(super) fn start(&self, wanted: Wanted<'_>) -> Result<PathBuf, String> {
        let Wanted {
            name,
            version,
            artifact,
        } = wanted;
        let into = self.folder.join(name).join(version);
        let program = program(&into, artifact);
        if program.exists() {
            return Ok(program);
        }
        let (address, path) = &self.repo;
        let body = download(
            address,
            &format!("{path}/{name}/{version}/jammy/{artifact}"),
        )?;
        extract(artifact, &body, &into)?;
        Ok(program)
    }
}

/// Where the program is looked for in the folder of a version.
fn program(version: &Path, artifact: &str) -> PathBuf {
    version.join(artifact.split('.').next().unwrap_or_default())
}

/// Unpacks a body into the folder of a version, and gives that of the program.
pub(super) fn unpack(body: &[u8], into: &Path, artifact: &str) -> Result<PathBuf, String> {
    extract(artifact, body, into)?;
    let program = program(into, artifact);
    match program.is_dir() {
        true => Ok(program),
        false => Err(format!("there is no `{}`", program.display())),
    }
}

/// The whole of what comes with a 200, were it cut short or not.
fn download(address: &str, path: &str) -> Result<Vec<u8>, String> {
    let (mut address, mut path) = (address.to_owned(), path.to_owned());
    for _ in 0..=REDIRECTS_MAX {
        let answer = exchange(&address, "GET", &path, "");
        if answer.stalled {
            return Err("it hangs".to_owned());
        }
        match answer.status {
            200 if answer.header("content-encoding") == Some("gzip") => {
                // Asked for by Go's transport, which unpacks it, whatever the program wants.
                let mut plain = Vec::new();
                drop(
                    flate2::read::MultiGzDecoder::new(answer.body.as_slice())
                        .read_to_end(&mut plain),
                );
                return Ok(plain);
            }
            200 => return Ok(answer.body),
            301 | 302 | 303 | 307 | 308 => {
                let to = answer.header("location").ok_or("a redirect to nowhere")?;
                match to.strip_prefix("http://").and_then(|to| to.split_once('/')) {
                    Some((host, rest)) => (address, path) = (host.to_owned(), format!("/{rest}")),
                    None => path = to.to_owned(),
                }
            }
            0 => return Err("download failed: no answer".to_owned()),
            status => return Err(format!("unexpected status code: {status}")),
        }
    }
    Err(format!("stopped after {REDIRECTS_MAX} redirects"))
}

/// The extractor, as far as the artifact's name says that it knows the format.
fn extract(artifact: &str, body: &[u8], into: &Path) -> Result<(), String> {
    match artifact {
        name if name.ends_with(".zip") => unzip(body, into),
        name if name.ends_with(".tar.gz") => untar(body, into),
        _ => Err("unknown artifact format".to_owned()),
    }
}

/// Entry by entry as it is unpacked: what comes before an error stays on the disk, and what comes
/// after the tar's end (the sum of gzip) is not looked at.
fn untar(body: &[u8], into: &Path) -> Result<(), String> {
    let gzip = flate2::read::GzDecoder::new(body);
    if gzip.header().is_none() {
        return Err("failed to create gzip reader: invalid header".to_owned());
    }
    let mut tar = tar::Archive::new(gzip);
    for entry in tar.entries().map_err(|e| format!("untar failed: {e}"))? {
        let mut entry = entry.map_err(|e| format!("untar failed: {e}"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mode = entry.header().mode().map_err(|e| e.to_string())?;
        let is_dir = entry.header().entry_type().is_dir() || name.ends_with('/');
        write(into, &name, is_dir, mode, &mut entry)?;
    }
    Ok(())
}

/// By the central directory, each file with its sum.
fn unzip(body: &[u8], into: &Path) -> Result<(), String> {
    let short = || "failed to create zip reader: cut short".to_owned();
    let number = |at: usize, len: usize| -> Result<usize, String> {
        let bytes = body.get(at..at + len).ok_or_else(short)?;
        let little = bytes.iter().rev();
        Ok(little.fold(0, |all, byte| all << 8 | usize::from(*byte)))
    };
    let end = body.windows(4).rposition(|four| four == b"PK\x05\x06");
    let end = end.ok_or("failed to create zip reader: not a valid zip file")?;
    let mut at = number(end + 16, 4)?;
    for _ in 0..number(end + 10, 2)? {
        if body.get(at..at + 4) != Some(b"PK\x01\x02") {
            return Err(short());
        }
        let (sum, size) = (number(at + 16, 4)?, number(at + 20, 4)?);
        let (name_len, extra, comment) = (
            number(at + 28, 2)?,
            number(at + 30, 2)?,
            number(at + 32, 2)?,
        );
        let (mode, local) = (number(at + 38, 4)? >> 16, number(at + 42, 4)?);
        let name = body.get(at + 46..at + 46 + name_len).ok_or_else(short)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let start = local + 30 + number(local + 26, 2)? + number(local + 28, 2)?;
        let content = body.get(start..start + size).ok_or_else(short)?;
        let mode = u32::try_from(mode).map_err(|e| e.to_string())?;
        write(into, &name, name.ends_with('/'), mode, &mut &content[..])?;
        if !name.ends_with('/')
            && crc32(content) != u32::try_from(sum).map_err(|e| e.to_string())?
        {
            return Err("zip: checksum error".to_owned());
        }
        at += 46 + name_len + extra + comment;
    }
    Ok(())
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

/// What is done with an entry: only the entry of a directory makes directories, and whatever is no
/// directory becomes a file.
fn write(
    into: &Path,
    name: &str,
    is_dir: bool,
    mode: u32,
    content: &mut impl Read,
) -> Result<(), String> {
    if name.contains("..") {
        return Err(format!(
            "file contains filepath ({name}) that includes (..)"
        ));
    }
    let inside = name.trim_start_matches('/').trim_end_matches('/');
    if matches!(inside, "" | ".") {
        return Err(format!("{name}: illegal file path"));
    }
    let path = into.join(inside);
    if is_dir {
        fs::create_dir_all(&path).map_err(|e| e.to_string())?;
        let mode = fs::Permissions::from_mode(mode & 0o7777);
        return fs::set_permissions(&path, mode).map_err(|e| e.to_string());
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let opened = options.mode(mode & 0o7777).open(&path);
    let mut file = opened.map_err(|e| format!("failed to create file: {name}: {e}"))?;
    let copied = io::copy(content, &mut file);
    copied.map_err(|e| format!("failed to copy files: {e}"))?;
    Ok(())
}
