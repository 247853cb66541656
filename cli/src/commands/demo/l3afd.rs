//! What l3afd does with a gateway: one bare request, and an extractor that checks nothing and makes
//! no folder that has no entry of its own. The archive is read by other hands than those that wrote
//! it: by the tar of this machine.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::PATIENCE;

/// Longest answer that is read, in bytes: the package of the demo has some thousand.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The body of the answer to a bare GET, which must be exactly 200.
pub(super) fn download(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    // l3afd itself would wait for ever.
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    body(&answer).map_err(io::Error::other)
}

/// The body of an answer that l3afd takes.
fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (&answer[..end], &answer[end + 4..]),
        None => return Err("the answer has no end of its head".to_owned()),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        let why = String::from_utf8_lossy(body);
        return Err(format!("it answers `{status}`: {}", why.trim()));
    }
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    if header("content-encoding").is_some() {
        return Err("it packs the archive once more, which l3afd cannot read".to_owned());
    }
    let length = header("content-length").and_then(|length| length.parse().ok());
    if length != Some(body.len()) {
        return Err("the answer is not as long as it says".to_owned());
    }
    Ok(body.to_vec())
}

/// Unpacks an archive as l3afd does, below `into` (its folder of one version), and gives the folder
/// where it would look for the program.
pub(super) fn unpack(archive: &[u8], into: &Path, artifact: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(into)?;
    let file = into.with_file_name(artifact);
    fs::write(&file, archive)?;
    let mut made = BTreeSet::new();
    for name in tar(&["-tzf".as_ref(), file.as_os_str()])?.lines() {
        if name.contains("..") || name.starts_with('/') || name == "./" {
            return Err(io::Error::other(format!("it refuses the entry `{name}`")));
        }
        match name.rsplit_once('/') {
            Some((folder, "")) => drop(made.insert(folder.to_owned())),
            Some((folder, _)) if !made.contains(folder) => {
                let why = format!("nothing makes the folder of `{name}` before it");
                return Err(io::Error::other(why));
            }
            _ => {}
        }
    }
    tar(&[
        "-xzf".as_ref(),
        file.as_os_str(),
        "-C".as_ref(),
        into.as_os_str(),
    ])?;
    let program = into.join(artifact.split('.').next().unwrap_or_default());
    match program.is_dir() {
        true => Ok(program),
        false => Err(io::Error::other(format!(
            "there is no folder `{}`",
            program.display()
        ))),
    }
}

/// What the tar of this machine says.
fn tar(args: &[&OsStr]) -> io::Result<String> {
    let out = Command::new("tar").args(args).output()?;
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(io::Error::other(format!(
            "tar: {}",
            String::from_utf8_lossy(&out.stderr).trim()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar.gz of these entries: a name and its content, none for a directory.
    fn archive(entries: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            let bytes = content.unwrap_or_default();
            header.set_size(bytes.len() as u64);
            header.set_mode(if content.is_some() { 0o644 } else { 0o755 });
            header.set_cksum();
            tar.append(&header, bytes).expect("appended");
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar.into_inner().expect("a tar"))
            .expect("packed");
        gzip.finish().expect("packed")
    }

    #[test]
    fn what_l3afd_cannot_use_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let object = Some(&b"object"[..]);
        let good = archive(&[("drop/", None), ("drop/drop.bpf.o", object)]);
        let into = folder.path().join("good/1.0.0");
        let program = unpack(&good, &into, "drop.tar.gz").expect("unpacked");
        assert_eq!(
            fs::read(program.join("drop.bpf.o")).expect("read"),
            b"object"
        );
        for (why, bytes) in [
            ("no folder", archive(&[("drop/drop.bpf.o", object)])),
            ("the root", archive(&[("./", None), ("drop/", None)])),
            (
                "a way out",
                archive(&[("drop/", None), ("drop/../../x", object)]),
            ),
            ("absolute", archive(&[("/drop/", None)])),
            ("another folder", archive(&[("other/", None)])),
            ("cut", good[..good.len() / 2].to_vec()),
            ("empty", Vec::new()),
        ] {
            let into = folder.path().join(why).join("1.0.0");
            assert!(unpack(&bytes, &into, "drop.tar.gz").is_err(), "{why}");
        }
        assert!(!folder.path().join("x").exists());
    }

    #[test]
    fn only_a_whole_plain_200_has_a_body() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(body(good).as_deref(), Ok(&b"ab"[..]));
        for bad in [
            &b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"[..],
            b"HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK",
            b"",
        ] {
            assert!(body(bad).is_err());
        }
        let said = body(b"HTTP/1.1 403 Forbidden\r\n\r\nnot trusted\n").expect_err("refused");
        assert_eq!(said, "it answers `HTTP/1.1 403 Forbidden`: not trusted");
    }
}
