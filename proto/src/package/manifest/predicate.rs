//! What the predicate says besides the files: for people, and for the tools that load.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::ebpf::Endian;
use crate::text::{check_line, check_prose};

/// Longest description, in bytes.
const DESCRIPTION_LEN_MAX: usize = 512;
/// Longest license expression, URL or other line, in bytes.
const LINE_LEN_MAX: usize = 256;
/// Most keywords, authors, kernels, needs.
const LIST_MAX: usize = 32;

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

/// What was read from the objects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    pub objects: Vec<Object>,
    pub programs: Vec<Program>,
    pub maps: Vec<Map>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Path of the file.
    pub file: String,
    pub endian: Endian,
    /// What its `license` section says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    pub btf: bool,
    pub core_relocations: u64,
    /// Numbers of the BPF helpers that it calls (`enum bpf_func_id`).
    pub helpers: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub name: String,
    /// Path of its object.
    pub object: String,
    pub section: String,
    /// The kernel's program type in lower case; absent where neither section nor author tells.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it attaches, as libbpf's section names call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    pub instructions: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    pub name: String,
    pub object: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub pinned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tested: Vec<String>,
}

/// The optional user-space part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProgram {
    pub file: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub program: String,
    pub input: String,
    pub expect: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requires {
    pub repo: crate::id::RepoId,
    pub name: crate::name::Name,
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
}

impl Details {
    /// Texts within their limits, a license that is one.
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
        let source = self.source.iter();
        for text in source
            .flat_map(|s| [Some(&s.url), s.commit.as_ref()])
            .flatten()
        {
            line("source", text)?;
        }
        for text in self.documentation.iter().chain(&self.homepage) {
            line("documentation", text)?;
        }
        list("authors", &self.authors)?;
        list("keywords", &self.keywords)?;
        if let Some(kernel) = &self.kernel {
            list("kernel", &kernel.tested)?;
            kernel
                .min
                .iter()
                .try_for_each(|text| line("kernel", text))?;
        }
        if let Some(user) = &self.user {
            list("user", &user.needs)?;
            super::check_path(&user.file)?;
        }
        self.facts.iter().try_for_each(Facts::check)
    }
}

impl Facts {
    /// Every text of it is a line: it is shown to people.
    pub fn check(&self) -> Result<(), Error> {
        for object in &self.objects {
            super::check_path(&object.file)?;
            object
                .license
                .iter()
                .try_for_each(|text| line("license", text))?;
        }
        for program in &self.programs {
            for text in [&program.name, &program.object, &program.section] {
                line("programs", text)?;
            }
            let more = [
                &program.kind,
                &program.hook,
                &program.target,
                &program.direction,
            ];
            more.into_iter()
                .flatten()
                .try_for_each(|text| line("programs", text))?;
        }
        for map in &self.maps {
            for text in [&map.name, &map.object, &map.kind] {
                line("maps", text)?;
            }
        }
        Ok(())
    }
}

fn line(field: &'static str, text: &str) -> Result<(), Error> {
    check_line(text, LINE_LEN_MAX).map_err(|e| Error::Field(field, e.to_string()))
}

fn list(field: &'static str, texts: &[String]) -> Result<(), Error> {
    if texts.len() > LIST_MAX {
        return Err(Error::Field(field, format!("more than {LIST_MAX}")));
    }
    texts.iter().try_for_each(|text| line(field, text))
}
