//! From a package file and the files it names to a manifest, or to everything that is wrong.

use super::Source;
use super::facts::facts;
use crate::ebpf::{self, Endian};
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;
use crate::l3afd;
use crate::package::manifest::{
    self, Details, FACTS_BYTES_MAX, File, FileKind, Kernel, Manifest, Requires, SourceLink,
    UserProgram,
};

/// Paths of the files that the tool adds; authors cannot use the folder.
const OWN_FOLDER: &str = ".skep/";
const FACTS_PATH: &str = ".skep/facts.json";
const TREE_PATH: &str = ".skep/tree.json";

/// Size and both hashes of a file, computed while it is read.
#[derive(Debug, Clone, Default)]
pub struct FileDigest {
    size: u64,
    sha256: sha2::Sha256,
    blake3: blake3::Hasher,
}

/// A file that was found, and the object's facts if it is one.
#[derive(Debug, Clone)]
pub struct Found {
    pub path: String,
    pub executable: bool,
    pub digest: FileDigest,
    /// What was read of it, where the package file says that it is an object.
    pub object: Option<Result<ebpf::Object, ebpf::Error>>,
}

/// Something that keeps the package from being published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub hint: String,
}

/// A manifest, and the files that the tool itself adds to the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    pub manifest: Manifest,
    /// Path and bytes.
    pub made: Vec<(String, Vec<u8>)>,
}

impl FileDigest {
    pub fn update(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        self.size += bytes.len() as u64;
        self.sha256.update(bytes);
        self.blake3.update(bytes);
    }

    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.update(bytes);
        digest
    }

    /// Whether these are the size and the hashes of a file of a manifest.
    pub fn is(&self, file: &File) -> bool {
        let same = self.file(&file.path, file.kind);
        (same.size, same.sha256, same.blake3) == (file.size, file.sha256, file.blake3)
    }

    /// Whether this is the hash of the bytes.
    pub fn is_blob(&self, hash: &Blake3) -> bool {
        self.blake3.finalize().as_bytes() == hash.as_bytes()
    }

    fn file(&self, path: &str, kind: FileKind) -> File {
        use sha2::Digest as _;
        File {
            path: path.to_owned(),
            kind,
            size: self.size,
            sha256: Sha256::from_bytes(self.sha256.clone().finalize().into()),
            blake3: Blake3::from_bytes(*self.blake3.finalize().as_bytes()),
            executable: false,
            endian: None,
            os: None,
            arch: None,
        }
    }
}

pub(super) fn problem(message: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem {
        message: message.into(),
        hint: hint.into(),
    }
}

/// Assembles a manifest for `repo`, or says everything that is wrong at once.
pub fn assemble(
    source: &Source,
    repo: &RepoId,
    found: &[Found],
) -> Result<Assembled, Vec<Problem>> {
    let mut problems = Vec::new();
    check_package(source, &mut problems);
    check_found(source, found, &mut problems);
    let facts = facts(source, found, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut files: Vec<File> = found.iter().map(|found| file(source, found)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut made = Vec::new();
    let mut details = details(source);
    if let Err(unfit) = l3afd::check(&details, &facts, &files) {
        return Err(vec![problem(
            unfit.to_string(),
            "correct [l3afd] in skep.toml",
        )]);
    }
    let written = manifest::write_facts(&facts);
    if let Err(error) = manifest::read_facts(&written) {
        let hint = "put fewer objects into one package";
        return Err(vec![problem(
            format!("what the objects say: {error}"),
            hint,
        )]);
    }
    if written.len() <= FACTS_BYTES_MAX {
        details.facts = Some(facts);
    } else {
        add_made(FACTS_PATH, FileKind::Facts, written, &mut files, &mut made);
    }
    let mut manifest = Manifest {
        repo: *repo,
        name: source.package.name.clone(),
        version: source.package.version.clone(),
        details,
        files,
        unknown: std::collections::BTreeMap::new(),
    };
    let mut payload = manifest.to_payload();
    let is_too_long = matches!(
        payload,
        Err(manifest::Error::TooLong { .. } | manifest::Error::TooManyFiles { .. })
    );
    if is_too_long && !manifest.files.is_empty() {
        list_files(&mut manifest.files, &mut made);
        payload = manifest.to_payload();
        let tree = made.last().map(|(_, bytes)| bytes.as_slice());
        payload = payload.and_then(|payload| manifest.all_files(tree).map(|_| payload));
    }
    match payload {
        Ok(_) => Ok(Assembled { manifest, made }),
        Err(error) => Err(vec![problem(error.to_string(), "correct skep.toml")]),
    }
}

/// Puts all files but the one with the facts into a file that lists them.
fn list_files(files: &mut Vec<File>, made: &mut Vec<(String, Vec<u8>)>) {
    let (kept, listed): (Vec<File>, Vec<File>) = std::mem::take(files)
        .into_iter()
        .partition(|file| file.kind == FileKind::Facts);
    *files = kept;
    add_made(
        TREE_PATH,
        FileKind::Tree,
        manifest::write_tree(&listed),
        files,
        made,
    );
}

fn add_made(
    path: &str,
    kind: FileKind,
    bytes: Vec<u8>,
    files: &mut Vec<File>,
    made: &mut Vec<(String, Vec<u8>)>,
) {
    files.push(FileDigest::of(&bytes).file(path, kind));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    made.push((path.to_owned(), bytes));
}

fn check_package(source: &Source, problems: &mut Vec<Problem>) {
    let package = &source.package;
    if package.name.is_reserved() {
        problems.push(problem(
            format!("`{}` is a reserved word", package.name),
            "take another name in skep.toml",
        ));
    }
    if let Err(error) = spdx::Expression::parse(&package.license) {
        problems.push(problem(
            format!(
                "`license = \"{}\"` is no SPDX expression: {}",
                package.license, error.reason
            ),
            "for example: license = \"GPL-2.0-only OR BSD-2-Clause\"",
        ));
    }
    if source.objects.is_empty() {
        problems.push(problem(
            "skep.toml names no object",
            "add: [[object]] and file = \"NAME.bpf.o\"",
        ));
    }
}

/// Everything that is named was found, once, under a path that may stand in a manifest.
fn check_found(source: &Source, found: &[Found], problems: &mut Vec<Problem>) {
    for (path, must) in source.paths() {
        if must && !found.iter().any(|found| found.path == path) {
            problems.push(problem(
                format!("there is no file `{}`", crate::text::harmless_line(&path)),
                "build it, or take its line out of skep.toml",
            ));
        }
    }
    for found in found {
        if let Err(error) = manifest::check_path(&found.path) {
            problems.push(problem(
                error.to_string(),
                "rename the file, and its line in skep.toml",
            ));
        } else if found.path.starts_with(OWN_FOLDER) {
            problems.push(problem(
                format!("the folder `{OWN_FOLDER}` is for files that skep adds"),
                "move the file, and change its line in skep.toml",
            ));
        }
    }
    for (at, object) in source.objects.iter().enumerate() {
        if source
            .objects
            .iter()
            .skip(at + 1)
            .any(|later| later.file == object.file)
        {
            problems.push(problem(
                format!(
                    "`{}` is named twice",
                    crate::text::harmless_line(&object.file)
                ),
                "take one [[object]] out of skep.toml",
            ));
        }
    }
}

fn file(source: &Source, found: &Found) -> File {
    let kind = kind_of(source, &found.path);
    let mut file = found.digest.file(&found.path, kind);
    file.executable = found.executable || kind == FileKind::Program;
    file.endian = endian_of(found);
    if kind == FileKind::Program {
        file.os = Some(source.package.platform.clone());
        let user = source.user.iter().filter(|user| user.file == found.path);
        let user = user.filter_map(|user| user.arch.clone()).next();
        let extra = extra(source, &found.path).and_then(|extra| extra.arch.clone());
        file.arch = extra.or(user);
    }
    file
}

fn endian_of(found: &Found) -> Option<Endian> {
    let object = found.object.as_ref()?.as_ref().ok()?;
    Some(object.endian)
}

fn extra<'a>(source: &'a Source, path: &str) -> Option<&'a super::Extra> {
    source.files.iter().find(|extra| extra.path == path)
}

fn kind_of(source: &Source, path: &str) -> FileKind {
    if source.objects.iter().any(|object| object.file == path) {
        return FileKind::Object;
    }
    if source.user.as_ref().is_some_and(|user| user.file == path) {
        return FileKind::Program;
    }
    if let Some(kind) = extra(source, path).and_then(|extra| extra.kind) {
        return kind;
    }
    let mut tests = source.tests.iter();
    if tests.any(|test| test.input == path || test.output.as_deref() == Some(path)) {
        return FileKind::Test;
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    match (name, name.rsplit_once('.').map(|(_, end)| end)) {
        ("README.md", _) => FileKind::Readme,
        ("LICENSE" | "COPYING" | "LICENSE.md" | "LICENSE.txt", _) => FileKind::License,
        ("Makefile" | "Cargo.toml" | "go.mod", _) => FileKind::Source,
        (_, Some("c" | "h" | "rs" | "go" | "S")) => FileKind::Source,
        (_, Some("yaml" | "yml" | "toml" | "json" | "conf")) => FileKind::Config,
        (_, Some("md" | "txt")) => FileKind::Documentation,
        _ => FileKind::Other,
    }
}

fn details(source: &Source) -> Details {
    let package = &source.package;
    let table = |table: &Option<toml::Table>| {
        let value = table
            .as_ref()
            .and_then(|table| serde_json::to_value(table).ok());
        value.and_then(|value| value.as_object().cloned())
    };
    Details {
        license: package.license.clone(),
        description: package.description.clone(),
        source: package.source.as_ref().map(|url| SourceLink {
            url: url.clone(),
            commit: package.commit.clone(),
        }),
        documentation: package.documentation.clone(),
        homepage: package.homepage.clone(),
        authors: package.authors.clone(),
        keywords: package.keywords.clone(),
        platform: package.platform.clone(),
        facts: None,
        kernel: source.kernel.as_ref().map(|kernel| Kernel {
            min: kernel.min.clone(),
            tested: kernel.tested.clone(),
            config: kernel.config.clone(),
            capabilities: kernel.capabilities.clone(),
        }),
        user: source.user.as_ref().map(|user| UserProgram {
            file: user.file.clone(),
            needs: user.needs.clone(),
        }),
        tests: source
            .tests
            .iter()
            .map(|test| manifest::Test {
                program: test.program.clone(),
                input: test.input.clone(),
                expect: test.expect.clone(),
                output: test.output.clone(),
                repeat: test.repeat,
                before: test.before.iter().map(Into::into).collect(),
                after: test.after.iter().map(Into::into).collect(),
            })
            .collect(),
        requires: source.requires.iter().map(requires).collect(),
        signatures: None,
        l3afd: table(&source.l3afd),
        bpfman: table(&source.bpfman),
        gadget: table(&source.gadget),
    }
}

fn requires(said: &super::Requires) -> Requires {
    Requires {
        repo: said.repository,
        name: said.name.clone(),
        version: said.version.clone(),
        alternatives: said
            .or
            .iter()
            .map(|other| manifest::Alternative {
                repo: other.repository,
                name: other.name.clone(),
                version: other.version.clone(),
            })
            .collect(),
    }
}
