//! From a package file and the files it names to a manifest, or to everything that is wrong.

use super::{Source, license};
use crate::ebpf::{self, Endian};
use crate::hash::{Blake3, Sha256};
use crate::id::RepoId;
use crate::package::manifest::{
    self, Details, FACTS_BYTES_MAX, FILES_MAX, Facts, File, FileKind, Kernel, Manifest, SourceLink,
    UserProgram,
};

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

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Problem {
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
    let facts = facts(source, found, &mut problems);
    check_programs(source, &facts, &mut problems);
    let mut files: Vec<File> = found.iter().map(|found| file(source, found)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in &files {
        if let Err(error) = manifest::check_path(&file.path) {
            problems.push(problem(
                error.to_string(),
                "rename the file, and its line in skep.toml",
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut made = Vec::new();
    let mut details = details(source);
    let facts_json = serde_json::to_vec(&facts).expect("strings, numbers and lists serialize");
    if facts_json.len() <= FACTS_BYTES_MAX {
        details.facts = Some(facts);
    } else {
        add_made(
            "facts.json",
            FileKind::Facts,
            facts_json,
            &mut files,
            &mut made,
        );
    }
    if files.len() > FILES_MAX {
        let (kept, listed): (Vec<File>, Vec<File>) = std::mem::take(&mut files)
            .into_iter()
            .partition(|file| file.kind == FileKind::Facts);
        files = kept;
        let tree = manifest::write_tree(&listed);
        add_made("tree.json", FileKind::Tree, tree, &mut files, &mut made);
    }
    let manifest = Manifest {
        repo: *repo,
        name: source.package.name.clone(),
        version: source.package.version.clone(),
        details,
        files,
        unknown: std::collections::BTreeSet::new(),
    };
    match manifest.to_payload() {
        Ok(_) => Ok(Assembled { manifest, made }),
        Err(error) => Err(vec![problem(error.to_string(), "correct skep.toml")]),
    }
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

/// What the objects say, with what the author adds.
fn facts(source: &Source, found: &[Found], problems: &mut Vec<Problem>) -> Facts {
    let mut facts = Facts::default();
    for said in &source.objects {
        let Some(file) = found.iter().find(|found| found.path == said.file) else {
            continue;
        };
        let object = match &file.object {
            Some(Ok(object)) => object,
            Some(Err(error)) => {
                problems.push(problem(
                    format!("`{}`: {error}", said.file),
                    "compile it with: clang -O2 -g -target bpf -c",
                ));
                continue;
            }
            None => continue,
        };
        if said.endian.is_some_and(|endian| endian != object.endian) {
            problems.push(problem(
                format!(
                    "`{}` is {}-endian, and skep.toml says otherwise",
                    said.file, object.endian
                ),
                "leave `endian` out: it is read from the object",
            ));
        }
        check_license(source, &said.file, object, problems);
        add_object(source, &said.file, object, &mut facts);
    }
    facts
}

fn check_license(source: &Source, file: &str, object: &ebpf::Object, problems: &mut Vec<Problem>) {
    let Ok(expression) = spdx::Expression::parse(&source.package.license) else {
        return;
    };
    let Some(said) = &object.license else {
        return;
    };
    if !license::fits(&expression, said) {
        let hint = match license::spdx_of(said) {
            Some(spdx) => format!("license = \"{spdx}\""),
            None => "make the two say the same".to_owned(),
        };
        problems.push(problem(
            format!(
                "`{file}` tells the kernel `{}`, and skep.toml says `{}`",
                crate::text::harmless(said),
                source.package.license
            ),
            hint,
        ));
    }
}

fn add_object(source: &Source, file: &str, object: &ebpf::Object, facts: &mut Facts) {
    facts.objects.push(manifest::Object {
        file: file.to_owned(),
        endian: object.endian,
        license: object.license.clone(),
        btf: object.has_btf,
        core_relocations: object.core_relocations as u64,
        helpers: object.helpers.clone(),
    });
    for program in &object.programs {
        let said = source
            .programs
            .iter()
            .find(|said| said.name == program.name);
        let hook = said.and_then(|said| said.hook.as_deref());
        let told = hook.and_then(ebpf::kind_of_hook);
        let kind = program.kind.as_ref().or(told.as_ref());
        facts.programs.push(manifest::Program {
            name: program.name.clone(),
            object: file.to_owned(),
            section: program.section.clone(),
            kind: kind.map(|kind| kind.program_type.to_string()),
            hook: kind.map(|kind| kind.hook.to_owned()),
            target: kind.and_then(|kind| kind.target.clone()),
            direction: said.and_then(|said| said.direction.clone()),
            instructions: program.instructions as u64,
        });
    }
    for map in &object.maps {
        facts.maps.push(manifest::Map {
            name: map.name.clone(),
            object: file.to_owned(),
            kind: map.kind.to_string(),
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            pinned: map.pinning != ebpf::Pinning::None,
        });
    }
}

fn check_programs(source: &Source, facts: &Facts, problems: &mut Vec<Problem>) {
    for said in &source.programs {
        let Some(program) = facts.programs.iter().find(|p| p.name == said.name) else {
            let names: Vec<&str> = facts.programs.iter().map(|p| p.name.as_str()).collect();
            problems.push(problem(
                format!(
                    "no object has a program `{}`",
                    crate::text::harmless(&said.name)
                ),
                format!("there are: {}", crate::text::harmless(&names.join(", "))),
            ));
            continue;
        };
        let Some(hook) = &said.hook else {
            continue;
        };
        match ebpf::kind_of_hook(hook) {
            None => problems.push(problem(
                format!("`{}` is not a hook", crate::text::harmless(hook)),
                "for example: xdp, tc, tcx/ingress, kprobe, tracepoint, lsm",
            )),
            Some(kind) => {
                let told = Some(kind.program_type.to_string());
                if ebpf::kind_of_section(&program.section).is_some() && program.kind != told {
                    problems.push(problem(
                        format!(
                            "program `{}` stands in section `{}`, which is not for hook `{hook}`",
                            program.name,
                            crate::text::harmless(&program.section)
                        ),
                        "leave `hook` out: it is read from the section",
                    ));
                }
            }
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
        file.arch = source.user.as_ref().and_then(|user| user.arch.clone());
    }
    file
}

fn endian_of(found: &Found) -> Option<Endian> {
    let object = found.object.as_ref()?.as_ref().ok()?;
    Some(object.endian)
}

fn kind_of(source: &Source, path: &str) -> FileKind {
    if source.objects.iter().any(|object| object.file == path) {
        return FileKind::Object;
    }
    if source.user.as_ref().is_some_and(|user| user.file == path) {
        return FileKind::Program;
    }
    if source.tests.iter().any(|test| test.input == path) {
        return FileKind::Test;
    }
    match path {
        "README.md" => FileKind::Readme,
        "LICENSE" | "COPYING" => FileKind::License,
        _ if path.ends_with(".c") || path.ends_with(".h") => FileKind::Source,
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
            })
            .collect(),
        requires: Vec::new(),
        signatures: None,
        l3afd: table(&source.l3afd),
        bpfman: table(&source.bpfman),
        gadget: table(&source.gadget),
    }
}
