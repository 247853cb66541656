//! The packages that benches publish.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Files of a package that [`write`] makes, besides its `skep.toml`.
pub(super) const FILES: [&str; 6] = [
    "LICENSE",
    "README.md",
    "docs/events.md",
    "docs/usage.md",
    "drop.bpf.o",
    "dropctl",
];
/// Their texts are filled up to this: what a package of a few programs and pages has.
const PAGE_BYTES: usize = 32 << 10;
const USER_PROGRAM_BYTES: usize = 256 << 10;

/// Makes a package of six files in a new folder. Every byte that may differ does so from version
/// to version, so that no store has a file of it already.
pub(super) fn write(dir: &Path, version: &str) -> Result<PathBuf> {
    fs::create_dir_all(dir.join("docs"))?;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    let read = |name: &str| {
        let path = demo.join(name);
        fs::read(&path).with_context(|| format!("could not read `{}`", path.display()))
    };
    let mut object = read("drop.bpf.o")?;
    // What stands after the last section belongs to nothing in it.
    object.extend_from_slice(version.as_bytes());
    fs::write(dir.join("drop.bpf.o"), object)?;
    for (name, len) in [
        ("LICENSE", 0),
        ("README.md", PAGE_BYTES),
        ("docs/events.md", PAGE_BYTES),
        ("docs/usage.md", PAGE_BYTES),
        ("dropctl", USER_PROGRAM_BYTES),
    ] {
        let mut text = match name {
            "docs/events.md" | "docs/usage.md" => b"# Page\n".to_vec(),
            _ => read(name)?,
        };
        let line = format!("# {name} of {version}\n");
        while text.len() < len {
            text.extend_from_slice(line.as_bytes());
        }
        text.extend_from_slice(line.as_bytes());
        fs::write(dir.join(name), text)?;
    }
    let source = source(version, &["docs/events.md", "docs/usage.md"]);
    fs::write(dir.join("skep.toml"), source)?;
    Ok(dir.to_owned())
}

/// Makes a package of the object and one large file that `size_bytes` of noise fill.
pub(super) fn write_large(dir: &Path, name: &str, version: &str, size_bytes: u64) -> Result<()> {
    write_noise(dir, version, &[(name, size_bytes)])
}

/// The same of as many large files as there are sizes.
pub(super) fn write_parts(dir: &Path, sizes_bytes: &[u64]) -> Result<()> {
    let names: Vec<String> = (0..sizes_bytes.len())
        .map(|n| format!("part-{n}"))
        .collect();
    let names = names.iter().map(String::as_str);
    let parts: Vec<(&str, u64)> = names.zip(sizes_bytes.iter().copied()).collect();
    write_noise(dir, "1.0.0", &parts)
}

fn write_noise(dir: &Path, version: &str, files: &[(&str, u64)]) -> Result<()> {
    use std::io::Read as _;
    fs::create_dir_all(dir)?;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/demo");
    for file in ["drop.bpf.o", "dropctl", "LICENSE"] {
        fs::copy(demo.join(file), dir.join(file))?;
    }
    for (name, size_bytes) in files {
        let mut noise = fs::File::open("/dev/urandom")?.take(*size_bytes);
        let mut large = fs::File::create(dir.join(name))?;
        std::io::copy(&mut noise, &mut large)?;
        // What lies in the page cache and not yet on disk would slow whoever comes first.
        large.sync_all()?;
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    fs::write(dir.join("skep.toml"), source(version, &names))?;
    Ok(())
}

fn source(version: &str, include: &[&str]) -> String {
    format!(
        "[package]\nname = \"drop\"\nversion = \"{version}\"\n\
         license = \"GPL-2.0-only OR BSD-2-Clause\"\ninclude = {include:?}\n\n\
         [[object]]\nfile = \"drop.bpf.o\"\n\n[user]\nfile = \"dropctl\"\n"
    )
}
