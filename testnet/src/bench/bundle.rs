//! A .skep file, written and taken by a command without a node, beside reading and hashing the same
//! bytes.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use super::finding::{Finding, Goal, Samples};
use super::home::{Home, ms_since};
use super::machine::memory_mib;
use super::package;

const ROUNDS: u32 = 3;
/// Usual length of the file, in MiB.
const SIZE_MIB: u64 = 1 << 10;
/// Longest file of a release, in MiB: below what a release may have.
const PART_MIB: u64 = 2 << 10;
/// Bytes read at a time by the peer, as by the subject.
const READ_BYTES: usize = 1 << 20;
/// How often the memory of a command is looked at; its peak only grows.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a command needed.
#[derive(Default)]
struct Needed {
    gb_per_s: Vec<f64>,
    memory_mib: Vec<f64>,
}

pub(super) fn run(bench: &Bench<'_>) -> Result<Vec<Finding>> {
    let size_mib = bench.size_mib.unwrap_or(SIZE_MIB);
    let dir = bench.dir.join("bundle");
    fs::create_dir(&dir)?;
    super::say(&format!("making and publishing files of {size_mib} MiB"));
    let folder = dir.join("package");
    let whole = (0..size_mib / PART_MIB).map(|_| PART_MIB);
    let rest = Some(size_mib % PART_MIB).filter(|rest| *rest > 0);
    let parts: Vec<u64> = whole.chain(rest).map(|mib| mib << 20).collect();
    package::write_parts(&folder, &parts)?;
    let author = Home::new(bench.product, dir.join("author"))?;
    author.ok(&["publish", &folder.display().to_string()])?;
    // Disks are small: of a large file there are two copies at a time.
    fs::remove_dir_all(&folder)?;
    let file = dir.join("drop.skep");
    let name = file.display().to_string();
    let (mut export, mut import) = (Needed::default(), Needed::default());
    let mut hash = Vec::new();
    let rounds = bench.rounds(ROUNDS);
    for _ in 0..rounds {
        export.of(
            &author,
            &["bundle", "export", "ana/drop", "-o", &name],
            &file,
        )?;
        hash.push(hash_gb_per_s(&file)?);
    }
    fs::remove_dir_all(author.dir())?;
    for round in 0..rounds {
        let site = Home::new(bench.product, dir.join(format!("site-{round}")))?;
        import.of(&site, &["bundle", "import", &name], &file)?;
        hash.push(hash_gb_per_s(&file)?);
        fs::remove_dir_all(site.dir())?;
    }
    let hash = Samples::new("GB/s", hash);
    let [exported, of_export] = export.findings("written", size_mib, &hash);
    let [imported, of_import] = import.findings("checked and taken", size_mib, &hash);
    Ok(vec![
        exported.note("each group verified as it is read from the store; on disk when it counts as done"),
        of_export,
        imported.note("read and proven to its end, then read and proven again while it is written to the store; on disk when it counts as done"),
        of_import,
    ])
}

impl Needed {
    fn of(&mut self, home: &Home<'_>, args: &[&str], file: &Path) -> Result<()> {
        let mut command = home.command(args);
        let begun = Instant::now();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("skep did not start")?;
        let mut peak: f64 = 0.0;
        let ended = loop {
            if let Some(ended) = child.try_wait()? {
                break ended;
            }
            // It may just have ended: then the look before was the last.
            peak = peak.max(memory_mib(child.id(), "VmHWM").unwrap_or_default());
            std::thread::sleep(LOOK_AGAIN);
        };
        let ms = ms_since(begun);
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        ensure!(ended.success(), "skep {}: {}", args.join(" "), said.trim());
        self.gb_per_s.push(gb_per_s(file, ms)?);
        self.memory_mib.push(peak);
        Ok(())
    }

    fn findings(self, what: &str, size_mib: u64, hash: &Samples) -> [Finding; 2] {
        [
            Finding::new(
                format!("a .skep file of {size_mib} MiB, {what}"),
                Samples::new("GB/s", self.gb_per_s),
            )
            .beside("reading and BLAKE3 of the same bytes", hash.clone())
            .goal(Goal::RatioAtLeast(0.5)),
            Finding::new(
                format!("peak memory while it is {what} (VmHWM)"),
                Samples::new("MiB", self.memory_mib),
            )
            .goal(Goal::AllAtMost(128.0)),
        ]
    }
}

/// The peer: one thread that reads and hashes.
fn hash_gb_per_s(path: &Path) -> Result<f64> {
    let begun = Instant::now();
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        };
    }
    std::hint::black_box(hasher.finalize());
    gb_per_s(path, ms_since(begun))
}

fn gb_per_s(path: &Path, ms: f64) -> Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    let bytes = fs::metadata(path)?.len() as f64;
    Ok(bytes / ms / 1e6)
}
