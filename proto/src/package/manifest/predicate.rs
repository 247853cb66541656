//! What the predicate says besides the files: for people, and for the tools that load.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Facts, File, FileKind, check_path};
use crate::id::RepoId;
use crate::name::{Name, Requirement};
use crate::text::{check_line, check_prose};

/// Longest description, in bytes: what a list of packages shows, not a README.
pub const DESCRIPTION_LEN_MAX: usize = 512;
/// Longest license expression, URL or other line, in bytes.
pub const LINE_LEN_MAX: usize = 256;
/// Most keywords, authors, kernels, needs: more would crowd out the rest of the payload.
pub const LIST_MAX: usize = 32;
/// Most tests: each takes about a hundred bytes of a payload of 36 KiB.
pub const TESTS_MAX: usize = 64;

/// Everything about a release but its identity and its files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Details {
    /// SPDX expression.
    pub license: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLink>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// `linux` or `windows`.
    pub platform: String,
    /// Absent where they stand in a file of kind `facts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserProgram>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
    /// What must be there too, each naming a repository id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requires>,
    /// The kernel and hypervisor layers: typed references to files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Layers>,
    /// What one runtime needs and no other: carried as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub l3afd: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpfman: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gadget: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLink {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Which kernels it runs on, as its author says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kernel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tested: Vec<String>,
    /// Options of its configuration: `CONFIG_X`, or `CONFIG_X=y`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<String>,
    /// What the loading process must be allowed: `CAP_BPF`, `CAP_NET_ADMIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// The optional user-space part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProgram {
    pub file: String,
    /// Packages of the system that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

/// One run of one program: what goes in, and what must come out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub program: String,
    /// Path of a file that holds the packet or context.
    pub input: String,
    /// The result, by name or number.
    pub expect: String,
    /// Path of a file that holds what the packet must have become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How often it runs before the result counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u32>,
    /// What is put into maps before, and what must stand there after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<MapValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<MapValue>,
}

/// A key and a value of a map, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapValue {
    pub map: String,
    pub key: String,
    pub value: String,
}

/// A package that must be there too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    pub repo: RepoId,
    pub name: Name,
    /// A semver requirement.
    pub version: String,
    /// Packages that do as well.
    #[serde(default, rename = "or", skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    pub repo: RepoId,
    pub name: Name,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layers {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel: Vec<Signed>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hypervisor: Vec<Signed>,
}

/// A signature file, and the file that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub file: String,
    pub over: String,
    /// Which of several loaders the signed one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

impl Details {
    /// Texts within their limits, numbers that are some, a license that is one.
    pub(super) fn check(&self) -> Result<(), Error> {
        line("license", &self.license)?;
        spdx::Expression::parse(&self.license)
            .map_err(|e| Error::Field("license", e.reason.to_string()))?;
        check_prose(&self.description, DESCRIPTION_LEN_MAX)
            .map_err(|e| Error::Field("description", e.to_string()))?;
        if !matches!(self.platform.as_str(), "linux" | "windows") {
            let why = "expected `linux` or `windows`".to_owned();
            return Err(Error::Field("platform", why));
        }
        if let Some(source) = &self.source {
            lines("source", source.commit.iter().chain([&source.url]))?;
        }
        lines(
            "documentation",
            self.documentation.iter().chain(&self.homepage),
        )?;
        list("authors", &self.authors)?;
        list("keywords", &self.keywords)?;
        self.kernel.iter().try_for_each(Kernel::check)?;
        if let Some(user) = &self.user {
            list("user", &user.needs)?;
            check_path(&user.file)?;
        }
        at_most("tests", self.tests.len(), TESTS_MAX)?;
        self.tests.iter().try_for_each(Test::check)?;
        at_most("requires", self.requires.len(), LIST_MAX)?;
        self.requires.iter().try_for_each(Requires::check)?;
        self.signatures.iter().try_for_each(Layers::check)?;
        self.facts.iter().try_for_each(Facts::check)
    }

    /// Everything that it names is among the files, as what it is named for.
    pub(super) fn check_files(&self, facts: Option<&Facts>, files: &[File]) -> Result<(), Error> {
        let has = |path: &str, kinds: &[FileKind]| {
            let file = files.binary_search_by(|file| file.path.as_str().cmp(path));
            let file = file.ok().and_then(|at| files.get(at));
            match file {
                Some(file) if kinds.is_empty() || kinds.contains(&file.kind) => Ok(()),
                _ => Err(Error::NoFile(path.chars().take(80).collect())),
            }
        };
        if let Some(user) = &self.user {
            has(&user.file, &[FileKind::Program])?;
        }
        for test in &self.tests {
            has(&test.input, &[])?;
            test.output.iter().try_for_each(|path| has(path, &[]))?;
        }
        for layer in self.signatures.iter() {
            for signed in layer.kernel.iter().chain(&layer.hypervisor) {
                has(
                    &signed.file,
                    &[FileKind::KernelSignature, FileKind::WindowsImage],
                )?;
                has(&signed.over, &[])?;
            }
        }
        if let Some(facts) = facts {
            for object in &facts.objects {
                has(&object.file, &[FileKind::Object])?;
            }
            let programs = facts.programs.iter().map(|program| &program.object);
            let maps = facts.maps.iter().map(|map| &map.object);
            let objects: BTreeSet<&String> = facts.objects.iter().map(|it| &it.file).collect();
            for object in programs.chain(maps) {
                if !objects.contains(object) {
                    return Err(Error::NoFile(object.chars().take(80).collect()));
                }
            }
        }
        Ok(())
    }
}

impl Kernel {
    fn check(&self) -> Result<(), Error> {
        for version in self.tested.iter().chain(&self.min) {
            check_kernel(version)?;
        }
        list("tested", &self.tested)?;
        list("config", &self.config)?;
        list("capabilities", &self.capabilities)
    }
}

impl Test {
    fn check(&self) -> Result<(), Error> {
        lines("tests", [&self.program, &self.expect])?;
        self.output
            .iter()
            .chain([&self.input])
            .try_for_each(|path| check_path(path))?;
        for MapValue { map, key, value } in self.before.iter().chain(&self.after) {
            line("tests", map)?;
            let (key, value) = (key.clone(), value.clone());
            super::facts::Value { key, value }.check()?;
        }
        Ok(())
    }
}

impl Requires {
    fn check(&self) -> Result<(), Error> {
        at_most("requires", self.alternatives.len(), LIST_MAX)?;
        let versions = self.alternatives.iter().map(|it| &it.version);
        for version in versions.chain([&self.version]) {
            line("requires", version)?;
            version
                .parse::<Requirement>()
                .map_err(|e| Error::Field("requires", e.to_string()))?;
        }
        Ok(())
    }
}

impl Layers {
    fn check(&self) -> Result<(), Error> {
        at_most("signatures", self.kernel.len(), LIST_MAX)?;
        at_most("signatures", self.hypervisor.len(), LIST_MAX)?;
        for signed in self.kernel.iter().chain(&self.hypervisor) {
            check_path(&signed.file)?;
            check_path(&signed.over)?;
            lines("signatures", &signed.protocol)?;
        }
        Ok(())
    }
}

/// A kernel's version is two or three numbers.
fn check_kernel(text: &str) -> Result<(), Error> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && part.parse::<u16>().is_ok() && (*part == "0" || !part.starts_with('0'))
    };
    match parts.len() {
        2 | 3 if parts.iter().all(number) => Ok(()),
        _ => Err(Error::Field(
            "kernel",
            "expected a version like `5.15`".to_owned(),
        )),
    }
}

fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), Error> {
    if count > max {
        return Err(Error::Field(field, format!("more than {max}")));
    }
    Ok(())
}

pub(super) fn line(field: &'static str, text: &str) -> Result<(), Error> {
    check_line(text, LINE_LEN_MAX).map_err(|e| Error::Field(field, e.to_string()))
}

pub(super) fn lines<'a>(
    field: &'static str,
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    texts.into_iter().try_for_each(|text| line(field, text))
}

fn list(field: &'static str, texts: &[String]) -> Result<(), Error> {
    at_most(field, texts.len(), LIST_MAX)?;
    lines(field, texts)
}
