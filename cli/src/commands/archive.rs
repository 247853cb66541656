//! The archive of a release that a gateway hands out, made here of the same files: to know what the
//! gateway must answer, and to be written where no gateway is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io::Read as _;
use std::ops::Range;

use skep_proto::hash::Blake3;
use skep_proto::package::manifest::File;
use skep_proto::render::l3afd::{Artifact, Platform, select};
use skep_proto::render::{Content, Piece};

use super::contents::{CHUNK_BYTES, open, read_checked, wrong};
use crate::client::Client;
use crate::error::{CliError, Exit, Hint, Result};

/// An archive, described, and the files that are in it.
pub(super) struct Archive {
    content: Content,
    files: BTreeMap<Blake3, File>,
}

impl Archive {
    /// Describes the archive of these files for a platform; reads each of them, and checks it.
    ///
    /// # Errors
    /// Exit 4 if there is none: `called` is the release that has nothing for that platform.
    pub(super) async fn of(
        called: &str,
        files: &[File],
        platform: Platform,
        artifact: &Artifact,
        client: &mut Client,
    ) -> Result<Self> {
        let none = |why: String| {
            let message = format!("`{called}` has no archive for l3afd: {why}");
            CliError::new(
                Exit::NotFound,
                message,
                Hint::new(format!("skep info {called}")),
            )
        };
        let chosen = select(files, platform).map_err(|e| none(e.to_string()))?;
        let mut sums = BTreeMap::new();
        for file in &chosen {
            if let Entry::Vacant(sum) = sums.entry(file.blake3) {
                let blob = open(file, client).await?;
                sum.insert(crc32(file, blob).await?);
            }
        }
        let sum_of = |file: &File| sums.get(&file.blake3).copied().unwrap_or_default();
        let content = artifact.render(&chosen, sum_of);
        let content = content.map_err(|e| none(e.to_string()))?;
        let files = chosen.into_iter();
        Ok(Self {
            content,
            files: files.map(|file| (file.blake3, file.clone())).collect(),
        })
    }

    /// In bytes.
    pub(super) fn size(&self) -> u64 {
        self.content.size()
    }

    /// Its bytes in order, each file of it checked once more as it passes.
    pub(super) async fn read(
        &self,
        client: &mut Client,
        mut to: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut reading: Option<Reading<'_>> = None;
        for piece in self.content.pieces(0..self.size()) {
            match piece {
                Piece::Bytes(bytes) => to(&bytes)?,
                Piece::File { blake3, range } => {
                    let mut now = match reading.take() {
                        // A file that stands twice in the archive is read twice.
                        Some(same) if same.file.blake3 == blake3 && same.at == range.start => same,
                        _ => self.begin(&blake3, &range, client).await?,
                    };
                    now.pass(range.end - range.start, &mut to)?;
                    reading = (now.at < now.file.size).then_some(now);
                    // Ctrl-C is heeded between two pieces.
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// Name and size of what [`Archive::read`] gives.
    pub(super) async fn blake3(&self, client: &mut Client) -> Result<Blake3> {
        let mut hasher = blake3::Hasher::new();
        self.read(client, |bytes| {
            hasher.update(bytes);
            Ok(())
        })
        .await?;
        Ok(Blake3::from_bytes(*hasher.finalize().as_bytes()))
    }

    async fn begin(
        &self,
        blake3: &Blake3,
        range: &Range<u64>,
        client: &mut Client,
    ) -> Result<Reading<'_>> {
        let file = self.files.get(blake3).filter(|_| range.start == 0);
        let file = file.ok_or_else(|| {
            let hint = Hint::none("the description of the archive is ours");
            CliError::new(
                Exit::Failed,
                "an archive does not hold its files in order",
                hint,
            )
        })?;
        Ok(Reading {
            file,
            blob: open(file, client).await?,
            hasher: blake3::Hasher::new(),
            at: 0,
        })
    }
}

/// A file that is passed on from its beginning to its end.
struct Reading<'a> {
    file: &'a File,
    blob: fs::File,
    hasher: blake3::Hasher,
    at: u64,
}

impl Reading<'_> {
    fn pass(&mut self, count: u64, to: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut left = usize::try_from(count).map_err(|_| wrong(self.file, None))?;
        let mut chunk = vec![0; left.min(CHUNK_BYTES)];
        while left > 0 {
            let part = left.min(CHUNK_BYTES);
            let bytes = &mut chunk[..part];
            let read = self.blob.read_exact(bytes);
            read.map_err(|e| wrong(self.file, Some(&e)))?;
            self.hasher.update(bytes);
            to(bytes)?;
            left -= part;
        }
        self.at += count;
        let is_right = || self.hasher.finalize().as_bytes() == self.file.blake3.as_bytes();
        match self.at < self.file.size || is_right() {
            true => Ok(()),
            false => Err(wrong(self.file, None)),
        }
    }
}

/// The sum of a file that is what the manifest names.
async fn crc32(file: &File, blob: fs::File) -> Result<u32> {
    let mut sum = crc32fast::Hasher::new();
    read_checked(file, blob, |chunk| {
        sum.update(chunk);
        Ok(())
    })
    .await?;
    Ok(sum.finalize())
}
