//! What is in a release: what its manifest says, its files, and its README.

use std::os::unix::fs::FileExt as _;

use skep_proto::control::{BlobRef, Release};
use skep_proto::hash::Blake3;
use skep_proto::package::manifest::{self, Facts, File, FileKind, Manifest};

use super::super::super::Doors;
use super::super::files::{image_type, link};
use super::super::frame::size;
use super::super::readme;
use super::super::rows::Rows;
use super::install;
use crate::release::read_tree;
use crate::snapshot::RepoSnapshot;

/// Longest list file (of files, of facts) that is read for a page, in bytes: some thousand files.
const LIST_BYTES_MAX: u64 = 1 << 20;
/// Longest README that is shown, in bytes.
pub(super) const README_BYTES_MAX: u64 = 128 << 10;

#[derive(Default)]
pub(super) struct Contents {
    /// Why its manifest says nothing, if so.
    pub(super) unusable: Option<String>,
    pub(super) description: String,
    pub(super) license: String,
    pub(super) hooks: Vec<String>,
    /// A word, and what is said; a link where it is one.
    pub(super) about: Vec<(&'static str, Vec<Said>)>,
    pub(super) programs: Rows<Program>,
    pub(super) maps: Rows<Map>,
    pub(super) files: Rows<Listed>,
    pub(super) readme: Readme,
    pub(super) layers: Vec<Layer>,
    /// The programs in l3afd's words, or why it cannot run them.
    pub(super) l3afd: L3afd,
}

pub(super) struct Said {
    pub(super) text: String,
    pub(super) is_link: bool,
}

pub(super) struct Program {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) hook: String,
    pub(super) section: String,
    pub(super) instructions: u64,
}

pub(super) struct Map {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: String,
}

pub(super) struct Listed {
    pub(super) path: String,
    /// Where its bytes are had, if they are here and may be.
    pub(super) address: Option<String>,
    pub(super) size: String,
    pub(super) blake3: String,
    pub(super) sha256: String,
}

#[derive(Default)]
pub(super) enum L3afd {
    #[default]
    Unknown,
    Programs(String),
    Unfit(String),
}

#[derive(Default)]
pub(super) enum Readme {
    #[default]
    None,
    /// Written by us.
    Html(String),
    /// Why it is not shown.
    Lacking(String),
}

/// A signature of another layer, which this node does not check.
pub(super) struct Layer {
    pub(super) layer: &'static str,
    pub(super) file: String,
    pub(super) over: String,
}

impl Contents {
    /// As far as it is here. `here` is the address of the release's page, `url` what l3afd knows
    /// the repository by.
    pub(super) fn of(
        doors: &Doors,
        repo: &RepoSnapshot,
        release: &Release,
        here: &str,
        url: Option<&str>,
    ) -> Self {
        let manifest = Manifest::parse(&release.payload.0).and_then(|manifest| {
            manifest.check_binding(&repo.id, &release.name, &release.version)?;
            Ok(manifest)
        });
        match manifest {
            Ok(manifest) => Self::said_by(&manifest, doors, release, here, url),
            Err(error) => Self {
                unusable: Some(crate::in_words(&error)),
                ..Self::default()
            },
        }
    }

    fn said_by(
        manifest: &Manifest,
        doors: &Doors,
        release: &Release,
        here: &str,
        url: Option<&str>,
    ) -> Self {
        let files = files(manifest, doors);
        let facts = facts(manifest, doors);
        let details = &manifest.details;
        let mut hooks: Vec<String> = facts.iter().flat_map(hooks).collect();
        hooks.sort_unstable();
        hooks.dedup();
        let address = |file: &File| {
            let may = release.held && release.admitted;
            may.then(|| link(here, &file.path))
        };
        let known = files.as_deref().unwrap_or(&manifest.files);
        Self {
            unusable: None,
            description: details.description.clone(),
            license: details.license.clone(),
            hooks,
            about: about(manifest),
            programs: match &facts {
                Ok(facts) => Rows::of(facts.programs.iter().map(program)),
                Err(why) => Rows::lacking(why),
            },
            maps: match &facts {
                Ok(facts) => Rows::of(facts.maps.iter().map(map)),
                Err(why) => Rows::lacking(why),
            },
            readme: read_readme(known, doors, here, release.held && release.admitted),
            files: match &files {
                Ok(files) => Rows::of(files.iter().map(|file| Listed {
                    path: file.path.clone(),
                    address: address(file),
                    size: size(file.size),
                    blake3: file.blake3.to_string(),
                    sha256: file.sha256.to_string(),
                })),
                Err(why) => Rows::lacking(why),
            },
            layers: layers(manifest),
            l3afd: match (&files, &facts, url) {
                (Ok(files), Ok(facts), Some(url)) => {
                    match install::programs(manifest, facts, files, url) {
                        Ok(programs) => L3afd::Programs(programs),
                        Err(why) => L3afd::Unfit(why),
                    }
                }
                _ => L3afd::Unknown,
            },
        }
    }
}

/// Every file of a release that is found through its manifest, if the list of them is here.
fn files(manifest: &Manifest, doors: &Doors) -> Result<Vec<File>, String> {
    let tree = manifest.file_of(FileKind::Tree);
    let bytes = tree.map(|tree| list(tree, doors)).transpose()?;
    let files = manifest.all_files(bytes.as_deref());
    files.map_err(|e| crate::in_words(&e))
}

fn facts(manifest: &Manifest, doors: &Doors) -> Result<Facts, String> {
    let file = manifest.file_of(FileKind::Facts);
    let bytes = file.map(|file| list(file, doors)).transpose()?;
    let facts = manifest.all_facts(bytes.as_deref());
    facts.map_err(|e| crate::in_words(&e))
}

/// The bytes of a file that says something about the release.
fn list(file: &File, doors: &Doors) -> Result<Vec<u8>, String> {
    if !is_short(file.size) {
        return Err("The list is too long for a page: skep info shows it.".to_owned());
    }
    let blob = BlobRef {
        hash: file.blake3,
        size_bytes: file.size,
    };
    let bytes = read_tree(doors.store.as_ref(), &blob);
    bytes.map_err(|_| "The list is not on this node.".to_owned())
}

fn is_short(list_bytes: u64) -> bool {
    list_bytes <= LIST_BYTES_MAX
}

fn hooks(facts: &Facts) -> Vec<String> {
    let programs = facts.programs.iter();
    let hooks = programs.filter_map(|program| program.hook.clone().or(program.kind.clone()));
    hooks.collect()
}

fn program(program: &manifest::Program) -> Program {
    Program {
        name: program.name.clone(),
        kind: program.kind.clone().unwrap_or_default(),
        hook: program.hook.clone().unwrap_or_default(),
        section: program.section.clone(),
        instructions: program.instructions,
    }
}

fn map(map: &manifest::Map) -> Map {
    Map {
        name: map.name.clone(),
        kind: map.kind.clone(),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: match map.max_entries {
            0 => "set when loaded".to_owned(),
            entries => entries.to_string(),
        },
    }
}

fn about(manifest: &Manifest) -> Vec<(&'static str, Vec<Said>)> {
    let details = &manifest.details;
    let kernel = details.kernel.clone().unwrap_or_default();
    let user = details.user.as_ref();
    let source = details.source.as_ref();
    let texts = |texts: Vec<String>| -> Vec<Said> {
        let said = texts.into_iter().map(|text| Said {
            is_link: readme::is_web(&text),
            text,
        });
        said.collect()
    };
    let one = |text: Option<String>| texts(text.into_iter().collect());
    let requires = details.requires.iter();
    let requires = requires.map(|it| format!("{}/{}@{}", it.repo, it.name, it.version));
    let all = [
        ("License", one(Some(details.license.clone()))),
        ("Source", one(source.map(|source| source.url.clone()))),
        (
            "Commit",
            one(source.and_then(|source| source.commit.clone())),
        ),
        ("Documentation", one(details.documentation.clone())),
        ("Homepage", one(details.homepage.clone())),
        ("Authors", texts(details.authors.clone())),
        ("Keywords", texts(details.keywords.clone())),
        ("Platform", one(Some(details.platform.clone()))),
        ("Lowest kernel", one(kernel.min)),
        ("Kernels tested", texts(kernel.tested)),
        ("Kernel configuration", texts(kernel.config)),
        ("Capabilities", texts(kernel.capabilities)),
        ("User program", one(user.map(|user| user.file.clone()))),
        (
            "It needs",
            texts(user.map_or(Vec::new(), |user| user.needs.clone())),
        ),
        ("Requires", texts(requires.collect())),
    ];
    let all = all.into_iter();
    all.filter(|(_, said)| said.iter().any(|said| !said.text.is_empty()))
        .collect()
}

fn layers(manifest: &Manifest) -> Vec<Layer> {
    let signatures = manifest.details.signatures.clone().unwrap_or_default();
    let kernel = signatures.kernel.into_iter().map(|it| ("kernel", it));
    let hypervisor = signatures.hypervisor.into_iter();
    let all = kernel.chain(hypervisor.map(|it| ("hypervisor", it)));
    all.map(|(layer, signed)| Layer {
        layer,
        file: signed.file,
        over: signed.over,
    })
    .collect()
}

/// The README of a release, verified and rendered; never a byte of it that was not.
fn read_readme(files: &[File], doors: &Doors, here: &str, may_have: bool) -> Readme {
    let Some(file) = files.iter().find(|file| file.kind == FileKind::Readme) else {
        return Readme::None;
    };
    if file.size > README_BYTES_MAX {
        return Readme::Lacking(format!(
            "It has {}, more than a page shows: skep get brings it.",
            size(file.size)
        ));
    }
    let Some(text) = text(file, doors) else {
        return Readme::Lacking("It is not on this node: skep get brings it.".to_owned());
    };
    let own = |path: &str| {
        let known = files.iter().any(|file| file.path == path);
        (known && may_have).then(|| readme::Own {
            address: link(here, path),
            is_image: image_type(path).is_some(),
        })
    };
    Readme::Html(readme::render(&text, &own))
}

fn text(file: &File, doors: &Doors) -> Option<String> {
    let open = doors.blobs.open(doors.store.as_ref(), &file.blake3).ok()?;
    let mut bytes = vec![0; usize::try_from(file.size).ok()?];
    open.file.read_exact_at(&mut bytes, 0).ok()?;
    // Looked at once more: the bytes that are shown are these.
    let same = Blake3::of(&[&bytes]) == file.blake3;
    same.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_up_to_its_limit() {
        assert!(is_short(LIST_BYTES_MAX));
        assert!(!is_short(LIST_BYTES_MAX + 1));
    }
}
