//! What l3afd asks for: an archive of a program's files in a directory of their own.
//!
//! l3afd checks nothing and unpacks naively, so the archive is what its extractor needs: directories
//! before their files, no `./`, no links, no path with `..` in it, and a top directory that is the
//! artifact's name up to its first dot.

use super::{Content, Error, Member, gzip, tar, zip};
use crate::ebpf::Endian;
use crate::name::Name;
use crate::package::manifest::{ARCHES, File, FileKind};

/// Longest name of an artifact, in bytes: what one component of every file system takes.
const ARTIFACT_LEN_MAX: usize = 255;
/// Longest word for a platform, in bytes: distributions have names of a word or two.
pub const PLATFORM_LEN_MAX: usize = 64;

/// How the files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    TarGz,
    Zip,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::TarGz, Self::Zip];

    /// With the dot before it.
    pub fn extension(self) -> &'static str {
        match self {
            Self::TarGz => ".tar.gz",
            Self::Zip => ".zip",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::TarGz => "application/gzip",
            Self::Zip => "application/zip",
        }
    }
}

/// The name of an artifact: the directory in it, and how it is packed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Artifact {
    directory: String,
    pub format: Format,
}

impl Artifact {
    /// `STEM.tar.gz` or `STEM.zip`; none for a stem that is empty or has anything but letters,
    /// digits, `_` and `-`: l3afd would look for another directory than the one that is there.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = |stem: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            !stem.is_empty() && stem.bytes().all(allowed)
        };
        let stems = Format::ALL.into_iter();
        let mut stems =
            stems.filter_map(|format| Some((name.strip_suffix(format.extension())?, format)));
        let (stem, format) = stems.next().filter(|_| name.len() <= ARTIFACT_LEN_MAX)?;
        plain(stem).then(|| Self {
            directory: stem.to_owned(),
            format,
        })
    }

    /// What the archive of a package is called if nobody says otherwise.
    pub fn of_package(name: &Name, format: Format) -> Self {
        Self {
            directory: name.to_string(),
            format,
        }
    }

    /// The archive of these files, whose CRC-32 `crc32_of` knows.
    ///
    /// # Errors
    /// A path or a size that the format cannot say.
    pub fn render(
        &self,
        files: &[&File],
        crc32_of: impl Fn(&File) -> u32,
    ) -> Result<Content, Error> {
        let mut members: Vec<Member> = files
            .iter()
            .map(|file| Member {
                path: format!("{}/{}", self.directory, file.path),
                // l3afd starts the user-space program, whatever its author forgot.
                executable: file.executable || file.kind == FileKind::Program,
                blake3: file.blake3,
                size: file.size,
                crc32: crc32_of(file),
            })
            .collect();
        members.sort_by(|a, b| a.path.cmp(&b.path));
        match self.format {
            Format::Zip => zip::render(&members),
            Format::TarGz => {
                let tar = tar::render(&members)?;
                let crc32 = gzip::crc32(&tar, &members);
                Ok(gzip::render(tar, crc32))
            }
        }
    }
}

impl std::fmt::Display for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.directory, self.format.extension())
    }
}

/// For what machine the files are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    pub windows: bool,
    /// One of [`ARCHES`].
    pub arch: &'static str,
}

impl Platform {
    /// What the word says that l3afd puts into its path: the code name of a distribution, or
    /// `Windows`. It tells no architecture, so that is `host`'s, the machine that the node runs on,
    /// unless the word ends in the name of another one (`noble-arm64`).
    pub fn of(word: &str, host: &str) -> Self {
        let word = word.to_ascii_lowercase();
        let last = word.rsplit('-').next().unwrap_or_default();
        let named = arch_of(last).or_else(|| arch_of(host));
        Self {
            windows: word.contains("windows"),
            arch: named.unwrap_or("x86_64"),
        }
    }

    fn endian(self) -> Endian {
        match self.arch {
            "s390x" | "powerpc64" | "mips" | "mips64" => Endian::Big,
            _ => Endian::Little,
        }
    }

    /// Whether a file is of use there, to whoever runs the package.
    fn takes(self, file: &File) -> bool {
        let os = match self.windows {
            true => "windows",
            false => "linux",
        };
        let wanted = match file.kind {
            FileKind::Object | FileKind::Program | FileKind::Config | FileKind::Other => true,
            FileKind::Readme | FileKind::License => true,
            FileKind::WindowsImage => self.windows,
            FileKind::Source
            | FileKind::Test
            | FileKind::Documentation
            | FileKind::Facts
            | FileKind::Tree
            | FileKind::KernelLoader
            | FileKind::KernelSignature
            | FileKind::Wasm
            | FileKind::Btf
            | FileKind::Sbom => false,
        };
        wanted
            && file.os.as_deref().is_none_or(|of| of == os)
            && file.arch.as_deref().is_none_or(|of| of == self.arch)
            && file.endian.is_none_or(|of| of == self.endian())
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let os = if self.windows { "windows" } else { "linux" };
        write!(f, "{os}/{}", self.arch)
    }
}

/// The architecture in this project's words, from those that others use.
fn arch_of(word: &str) -> Option<&'static str> {
    let word = match word {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" | "i386" | "i686" => "x86",
        "ppc64le" | "ppc64el" => "powerpc64le",
        "ppc64" => "powerpc64",
        "loong64" => "loongarch64",
        other => other,
    };
    ARCHES.into_iter().find(|arch| *arch == word)
}

/// Why a release has nothing for l3afd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("no object of it is built for {0}; there are {1}")]
    Platform(Platform, String),
    #[error("l3afd refuses the path `{0}`, which has `..` in it")]
    Dots(String),
}

/// The files of a release that a machine of this platform needs.
///
/// # Errors
/// Nothing that could run there, or a path that l3afd refuses.
pub fn select(files: &[File], platform: Platform) -> Result<Vec<&File>, Unfit> {
    let chosen: Vec<&File> = files.iter().filter(|file| platform.takes(file)).collect();
    let runs = |file: &&File| matches!(file.kind, FileKind::Object | FileKind::WindowsImage);
    if !chosen.iter().any(runs) {
        return Err(Unfit::Platform(platform, builds(files)));
    }
    match chosen.iter().find(|file| file.path.contains("..")) {
        Some(file) => Err(Unfit::Dots(file.path.clone())),
        None => Ok(chosen),
    }
}

/// The objects that there are, in words.
fn builds(files: &[File]) -> String {
    let objects = files.iter().filter(|file| file.kind == FileKind::Object);
    let objects: Vec<String> = objects
        .map(|file| match file.endian {
            Some(Endian::Big) => format!("{} (big-endian)", file.path),
            Some(Endian::Little) => format!("{} (little-endian)", file.path),
            None => file.path.clone(),
        })
        .collect();
    match objects.is_empty() {
        true => "none".to_owned(),
        false => objects.join(", "),
    }
}
