//! Ten thousand packages as there might be: names and prose of words that are as unequal as those of
//! a language, facts of the kinds that packages have. The same in every run.

use std::path::Path;

use anyhow::{Context as _, Result};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::name::{Name, Version};
use skep_proto::package::manifest::{
    Details, Facts, File, FileKind, Kernel, Manifest, Object, Program,
};
use skep_testnet::dice::Dice;

pub(super) const PACKAGES: usize = 10_000;
/// Different words of all descriptions together.
const WORDS: usize = 8_000;
/// Words of a description, and of a name.
const PROSE: usize = 30;
const NAME: usize = 2;
const SYLLABLES: [&str; 24] = [
    "ba", "co", "di", "fel", "gra", "hu", "in", "jo", "ka", "lim", "mo", "net", "or", "pa", "quo",
    "ra", "ser", "ti", "ul", "ver", "wa", "xe", "yo", "zen",
];
/// Where programs attach, with their types, the frequent ones first.
const HOOKS: [(&str, &str); 8] = [
    ("xdp", "xdp"),
    ("tc", "sched_cls"),
    ("kprobe", "kprobe"),
    ("tracepoint", "tracepoint"),
    ("fentry", "tracing"),
    ("lsm", "lsm"),
    ("cgroup_skb", "cgroup_skb"),
    ("sk_msg", "sk_msg"),
];
const LICENSES: [&str; 4] = [
    "GPL-2.0-only",
    "GPL-2.0-only OR BSD-2-Clause",
    "GPL-2.0-or-later",
    "GPL-2.0-only OR MIT",
];
const KERNELS: [&str; 4] = ["5.15", "5.4", "6.1", "4.18"];

/// What chance makes of a seed.
pub(super) struct Crowd {
    dice: Dice,
    words: Vec<String>,
    files: Vec<File>,
}

impl Crowd {
    /// All of them have the files of the demo.
    pub(super) fn new(seed: u64) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let mut words: Vec<String> = Vec::new();
        while words.len() < WORDS {
            let count = 1 + dice.index(4);
            let word = (0..count).map(|_| SYLLABLES[dice.index(SYLLABLES.len())]);
            let word: String = word.collect();
            words.push(format!("{word}{}", words.len() % 7));
        }
        Ok(Self {
            dice,
            words,
            files: demo_files()?,
        })
    }

    /// A word, the first ones often: each as often as its place is low.
    pub(super) fn word(&mut self) -> String {
        let at = self.unequal(self.words.len());
        self.words[at].clone()
    }

    /// Below `len`, with the logarithm of the place evenly spread.
    fn unequal(&mut self, len: usize) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let place = (len as f64).powf(self.dice.below(1 << 32) as f64 / (1_u64 << 32) as f64);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and `len`"
        )]
        let place = place as usize;
        place.clamp(1, len) - 1
    }

    pub(super) fn hook(&mut self) -> &'static str {
        HOOKS[self.unequal(HOOKS.len())].0
    }

    pub(super) fn kernel(&mut self) -> &'static str {
        KERNELS[self.unequal(KERNELS.len())]
    }

    /// The name of a package; no two have one.
    pub(super) fn name(&mut self, number: usize) -> Result<Name> {
        let words: Vec<String> = (0..NAME).map(|_| self.word()).collect();
        let name = format!("{}-{number}", words.join("-"));
        name.parse().context("a name of short words is one")
    }

    /// What its author says of it.
    pub(super) fn manifest(&mut self, repo: RepoId, name: Name) -> Result<Manifest> {
        let prose: Vec<String> = (0..PROSE).map(|_| self.word()).collect();
        let programs = 1 + self.dice.index(3);
        let programs = (0..programs).map(|_| self.program()).collect();
        let version: Version = format!("1.{}.{}", self.dice.index(9), self.dice.index(9))
            .parse()
            .context("a version")?;
        let object = Object {
            file: "drop.bpf.o".to_owned(),
            endian: skep_proto::ebpf::Endian::Little,
            license: Some("Dual BSD/GPL".to_owned()),
            btf: true,
            core_relocations: 3,
            helpers: vec![1, 2, 5],
            externs: Vec::new(),
        };
        let license = LICENSES[self.unequal(LICENSES.len())];
        Ok(Manifest {
            repo,
            name,
            version,
            details: Details {
                license: license.to_owned(),
                description: prose.join(" "),
                keywords: vec![self.word(), self.word()],
                platform: "linux".to_owned(),
                facts: Some(Facts {
                    objects: vec![object],
                    programs,
                    ..Facts::default()
                }),
                kernel: Some(Kernel {
                    min: Some(self.kernel().to_owned()),
                    tested: vec![self.kernel().to_owned()],
                    ..Kernel::default()
                }),
                ..Details::default()
            },
            files: self.files.clone(),
            unknown: std::collections::BTreeMap::new(),
        })
    }

    fn program(&mut self) -> Program {
        let (hook, kind) = HOOKS[self.unequal(HOOKS.len())];
        Program {
            name: format!("{}_{}", self.word(), self.word()),
            object: "drop.bpf.o".to_owned(),
            section: hook.to_owned(),
            kind: Some(kind.to_owned()),
            hook: Some(hook.to_owned()),
            target: None,
            direction: None,
            attach_type: None,
            sleepable: false,
            frags: false,
            optional: false,
            alternative: None,
            chain: None,
            instructions: 80,
        }
    }
}

/// Where a file of the demo's package lies.
pub(super) fn demo(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../cli/demo")
        .join(path)
}

fn demo_files() -> Result<Vec<File>> {
    let mut files = Vec::new();
    for (path, kind) in [
        ("LICENSE", FileKind::License),
        ("README.md", FileKind::Readme),
        ("drop.bpf.o", FileKind::Object),
        ("dropctl", FileKind::Program),
    ] {
        let bytes = std::fs::read(demo(path)).with_context(|| format!("could not read {path}"))?;
        let is_program = kind == FileKind::Program;
        files.push(File {
            path: path.to_owned(),
            kind,
            size: bytes.len() as u64,
            sha256: Sha256::of(&[&bytes]),
            blake3: Blake3::of(&[&bytes]),
            executable: is_program,
            endian: (kind == FileKind::Object).then_some(skep_proto::ebpf::Endian::Little),
            os: is_program.then(|| "linux".to_owned()),
            arch: is_program.then(|| "x86_64".to_owned()),
        });
    }
    Ok(files)
}
