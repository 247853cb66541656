//! What is rendered, read again by other hands than ours, and pinned.

use super::l3afd::{Artifact, Format, Platform, Unfit, select};
use super::*;
use crate::ebpf::Endian;
use crate::hash::Sha256;
use crate::package::manifest::{File, FileKind};
use std::collections::BTreeMap;
use std::io::Read as _;

/// Files by hash, as a store has them.
#[derive(Default)]
struct Blobs(BTreeMap<Blake3, Vec<u8>>);

impl Blobs {
    fn file(&mut self, path: &str, kind: FileKind, bytes: &[u8]) -> File {
        let blake3 = Blake3::of(&[bytes]);
        self.0.insert(blake3, bytes.to_vec());
        File {
            path: path.to_owned(),
            kind,
            size: bytes.len() as u64,
            sha256: Sha256::of(&[bytes]),
            blake3,
            executable: false,
            endian: None,
            os: None,
            arch: None,
        }
    }

    fn crc32(&self, file: &File) -> u32 {
        crc32fast::hash(&self.0[&file.blake3])
    }

    fn read(&self, content: &Content, wanted: Range<u64>) -> Vec<u8> {
        let mut all = Vec::new();
        for piece in content.pieces(wanted) {
            match piece {
                Piece::Bytes(bytes) => all.extend(bytes),
                Piece::File { blake3, range } => {
                    let at = |n| usize::try_from(n).expect("small");
                    all.extend_from_slice(&self.0[&blake3][at(range.start)..at(range.end)]);
                }
            }
        }
        all
    }
}

/// A release with an empty file, files around the size of a block, and a folder in a folder.
fn release() -> (Blobs, Vec<File>) {
    let mut blobs = Blobs::default();
    let long = vec![7; 200_000];
    let mut program = blobs.file("dropctl", FileKind::Program, &[9; 512]);
    program.os = Some("linux".to_owned());
    let files = vec![
        blobs.file("LICENSE", FileKind::License, b""),
        blobs.file("conf/deep/a.json", FileKind::Config, &[1; 513]),
        blobs.file("drop.bpf.o", FileKind::Object, &long),
        program,
        blobs.file("src/drop.bpf.c", FileKind::Source, b"int x;"),
    ];
    (blobs, files)
}

fn rendered(blobs: &Blobs, files: &[File], name: &str) -> (Content, Vec<u8>) {
    let artifact = Artifact::parse(name).expect("a name");
    let chosen = select(files, Platform::of("jammy", "x86_64")).expect("it fits");
    let content = artifact
        .render(&chosen, |file| blobs.crc32(file))
        .expect("it can be rendered");
    let bytes = blobs.read(&content, 0..u64::MAX);
    assert_eq!(bytes.len() as u64, content.size());
    (content, bytes)
}

const EXPECTED: [(&str, u32); 7] = [
    ("drop/", 0o755),
    ("drop/conf/", 0o755),
    ("drop/conf/deep/", 0o755),
    ("drop/LICENSE", 0o644),
    ("drop/conf/deep/a.json", 0o644),
    ("drop/drop.bpf.o", 0o644),
    ("drop/dropctl", 0o755),
];

#[test]
fn a_tar_gz_is_read_by_others_as_it_was_meant() {
    let (blobs, files) = release();
    let (_, bytes) = rendered(&blobs, &files, "drop.tar.gz");
    let mut plain = Vec::new();
    let mut gzip = flate2::read::GzDecoder::new(bytes.as_slice());
    gzip.read_to_end(&mut plain).expect("gzip, with its CRC");
    let mut seen = Vec::new();
    for entry in ::tar::Archive::new(plain.as_slice())
        .entries()
        .expect("a tar")
    {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("a path");
        let header = entry.header().clone();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        assert_eq!(header.mtime().ok(), Some(0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        if let Some(file) = files
            .iter()
            .find(|file| path == format!("drop/{}", file.path))
        {
            assert_eq!(Blake3::of(&[&content]), file.blake3, "{path}");
        }
        seen.push((path, header.mode().expect("a mode")));
    }
    let expected = EXPECTED.map(|(path, mode)| (path.to_owned(), mode));
    assert_eq!(seen, expected);
}

/// Reads the central directory of a zip, and each local header through it.
fn unzip(zip: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([zip[at], zip[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().expect("four"));
    let at_u32 = |at: usize| usize::try_from(u32_at(at)).expect("small");
    let end = zip.len() - 22;
    assert_eq!(&zip[end..end + 4], b"PK\x05\x06");
    let (count, mut at) = (u16_at(end + 10), at_u32(end + 16));
    assert_eq!(at + at_u32(end + 12), end);
    let mut seen = Vec::new();
    for _ in 0..count {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
        let (crc, size, name_len) = (u32_at(at + 16), at_u32(at + 24), u16_at(at + 28));
        let (mode, local) = (u32_at(at + 38) >> 16, at_u32(at + 42));
        let name = &zip[at + 46..at + 46 + name_len];
        assert_eq!(&zip[local..local + 4], b"PK\x03\x04");
        assert_eq!(&zip[local + 30..local + 30 + name_len], name);
        let content = &zip[local + 30 + name_len..local + 30 + name_len + size];
        assert_eq!((crc32fast::hash(content), u32_at(local + 14)), (crc, crc));
        let name = String::from_utf8(name.to_vec()).expect("a path");
        seen.push((name, mode & 0o777, content.to_vec()));
        at += 46 + name_len;
    }
    seen
}

#[test]
fn a_zip_is_read_by_its_directory_as_it_was_meant() {
    let (blobs, files) = release();
    let (_, bytes) = rendered(&blobs, &files, "drop.zip");
    let seen = unzip(&bytes);
    let names: Vec<(&str, u32)> = seen
        .iter()
        .map(|(n, mode, _)| (n.as_str(), *mode))
        .collect();
    assert_eq!(names, EXPECTED);
    for (name, _, content) in seen {
        if let Some(file) = files
            .iter()
            .find(|file| name == format!("drop/{}", file.path))
        {
            assert_eq!(Blake3::of(&[&content]), file.blake3, "{name}");
        }
    }
}

#[test]
fn every_range_is_what_the_whole_has_there() {
    let (blobs, files) = release();
    for name in ["drop.tar.gz", "drop.zip"] {
        let (content, bytes) = rendered(&blobs, &files, name);
        let size = bytes.len();
        let starts = (0..size).step_by(4_093).chain([size - 1, size]);
        for start in starts {
            for len in [0, 1, 511, 65_535, 65_536, 70_000, size] {
                let end = (start + len).min(size);
                let found = blobs.read(&content, start as u64..(start + len) as u64);
                assert!(found == bytes[start..end], "{name} {start}..{end}");
            }
        }
    }
}

#[test]
fn the_bytes_are_pinned() {
    let (blobs, files) = release();
    let pinned = [
        (
            "drop.tar.gz",
            "aac59e7b3dc04d20930b7243e9a2d5a61be5ad4dc1dea887f6b696b14b70df0c",
        ),
        (
            "drop.zip",
            "788f7a5d3d163e5b8350851f24d127c331b51321b4e5a3941510be324bfc1e2e",
        ),
    ];
    for (name, expected) in pinned {
        let (_, bytes) = rendered(&blobs, &files, name);
        assert_eq!(Blake3::of(&[&bytes]).to_string(), expected, "{name}");
    }
}

#[test]
fn a_platform_gets_what_runs_there() {
    let (mut blobs, mut files) = release();
    let mut big = blobs.file("big.bpf.o", FileKind::Object, b"big");
    big.endian = Some(Endian::Big);
    let mut other = blobs.file("dropctl.arm", FileKind::Program, b"arm");
    other.arch = Some("aarch64".to_owned());
    files.extend([big, other]);
    files
        .iter_mut()
        .find(|f| f.path == "drop.bpf.o")
        .expect("there")
        .endian = Some(Endian::Little);
    let names = |word: &str, host: &str| -> Vec<String> {
        let chosen = select(&files, Platform::of(word, host)).expect("it fits");
        chosen.iter().map(|file| file.path.clone()).collect()
    };
    let has = |names: &[String], name: &str| names.iter().any(|n| n == name);
    for (word, host, object, program) in [
        ("jammy", "x86_64", "drop.bpf.o", None),
        ("jammy", "aarch64", "drop.bpf.o", Some("dropctl.arm")),
        ("noble-arm64", "x86_64", "drop.bpf.o", Some("dropctl.arm")),
        ("bookworm", "s390x", "big.bpf.o", None),
    ] {
        let names = names(word, host);
        assert!(has(&names, object) && names.iter().filter(|n| n.ends_with(".o")).count() == 1);
        assert_eq!(
            has(&names, "dropctl.arm"),
            program.is_some(),
            "{word} {host}"
        );
        assert!(!has(&names, "src/drop.bpf.c"));
    }
    let only_big: Vec<File> = files
        .iter()
        .filter(|f| f.path != "drop.bpf.o")
        .cloned()
        .collect();
    let refused = select(&only_big, Platform::of("jammy", "x86_64"));
    let expected = "no object of it is built for linux/x86_64; there are big.bpf.o (big-endian)";
    assert_eq!(refused.expect_err("nothing runs").to_string(), expected);
    let windows = names("Windows", "x86_64");
    assert!(!has(&windows, "dropctl"), "a program for Linux");
}

#[test]
fn what_l3afd_would_refuse_is_refused_here() {
    let (mut blobs, mut files) = release();
    files.push(blobs.file("a..b.o", FileKind::Object, b"x"));
    let refused = select(&files, Platform::of("jammy", "x86_64"));
    assert_eq!(refused, Err(Unfit::Dots("a..b.o".to_owned())));
    for name in [
        "drop.tgz",
        ".tar.gz",
        "a.b.tar.gz",
        "../x.zip",
        "drop",
        "a b.zip",
        "drop.tar",
        "é.zip",
    ] {
        assert_eq!(Artifact::parse(name), None, "{name}");
    }
    let long = "a".repeat(251);
    assert!(Artifact::parse(&format!("{long}.zip")).is_some());
    assert!(Artifact::parse(&format!("{long}a.zip")).is_none());
    for name in ["drop.tar.gz", "l3af_xdp_root.zip"] {
        let artifact = Artifact::parse(name).expect("a name");
        assert_eq!(artifact.to_string(), name);
        assert!(Format::ALL.contains(&artifact.format));
    }
}

#[test]
fn a_path_is_split_where_both_parts_fit() {
    let member = |path: String| Member {
        path,
        executable: false,
        blake3: Blake3::of(&[]),
        size: 0,
        crc32: 0,
    };
    let render = |path: &str| tar::render(&[member(path.to_owned())]);
    let (a, b) = ("a".repeat(77), "b".repeat(100));
    assert!(render(&format!("{a}/{a}/{b}")).is_ok(), "155 and 100");
    let long = |path: String| matches!(render(&path), Err(Error::LongPath(_)));
    assert!(long(format!("{a}a/{a}/{b}")));
    assert!(long(format!("{a}/{a}/{b}b")));
    assert!(render(&b).is_ok());
}

#[test]
fn a_zip_says_when_it_is_too_large() {
    let member = |size| Member {
        path: "x/a".to_owned(),
        executable: false,
        blake3: Blake3::of(&[]),
        size,
        crc32: 0,
    };
    // Headers of 32, 33 and 33 bytes before, 49 and 49 of the directory, 22 at the end.
    let fits = zip::render(&[member(u64::from(u32::MAX) - 1 - 200)]);
    assert!(fits.is_ok());
    let large = zip::render(&[member(u64::from(u32::MAX) - 1)]);
    assert!(matches!(large, Err(Error::Large { .. })), "{large:?}");
    let huge = zip::render(&[member(u64::from(u32::MAX))]);
    assert!(matches!(huge, Err(Error::Large { .. })));
}

#[test]
fn an_empty_gzip_is_one_empty_block() {
    let empty = gzip::render(Content::default(), 0);
    let bytes = Blobs::default().read(&empty, 0..u64::MAX);
    let mut plain = Vec::new();
    let mut gzip = flate2::read::GzDecoder::new(bytes.as_slice());
    gzip.read_to_end(&mut plain).expect("gzip");
    assert!(plain.is_empty());
}
