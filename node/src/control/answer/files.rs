//! Files: into the store, from peers, and out by descriptor.

use std::os::fd::{AsFd as _, OwnedFd};

use skep_proto::blob::group_count;
use skep_proto::control::{BlobRef, Refusal, Refused, Response};
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::id::RepoId;
use skep_proto::name::{Name, Version};

use super::{Answered, Answers, Waiting, done, failed, not_found, repo_of};
use crate::control::{Connection, Error};
use crate::core::{Command, Holding, HoldingReason, Input, Reply, WantEnd};
use crate::in_use::Lease;
use crate::release::{self, Files};
use crate::snapshot::Snapshot;

impl Answers {
    /// A file, into the store; from then on in use by whoever handed it over.
    pub(super) fn put_blob(&self, file: Option<OwnedFd>, lease: &mut Lease) -> Answered {
        let file = file.ok_or_else(|| failed("no file came with the request"))?;
        let mut file = std::fs::File::from(file);
        let info = lease.import(self.store.as_ref(), &mut file);
        let info = info.map_err(|e| failed(crate::in_words(&e)))?;
        Ok(Response::Blob(BlobRef {
            hash: info.hash,
            size_bytes: info.size,
        }))
    }

    pub(super) fn publish(&self, repo: RepoId, manifest: Sha256, blobs: &[BlobRef]) -> Answered {
        // They may have come to a node that ended meanwhile.
        let mut lease = self.node.in_use().lease();
        lease.add(blobs.iter().map(|blob| blob.hash));
        for blob in blobs {
            let held = self.store.blob(&blob.hash);
            if held.map_err(|e| failed(crate::in_words(&e)))?.is_none() {
                return Err(failed(format!(
                    "the blob {} is not in the store",
                    blob.hash
                )));
            }
        }
        self.hold(repo, manifest, HoldingReason::Published, blobs)
    }

    fn hold(
        &self,
        repo: RepoId,
        manifest: Sha256,
        why: HoldingReason,
        blobs: &[BlobRef],
    ) -> Answered {
        let blobs = blobs.iter().map(|blob| (blob.hash, blob.size_bytes));
        let holding = Holding {
            why,
            blobs: blobs.collect(),
        };
        self.command(Command::Hold {
            repo,
            manifest,
            holding,
        })
    }

    /// Every file of a release, first the one that lists the others, if there is one.
    pub(super) fn fetch(
        &self,
        id: RepoId,
        name: &Name,
        version: &Version,
        manifest: Sha256,
        connection: &mut Connection,
    ) -> Answered {
        let snapshot = self.node.snapshot();
        let repo = repo_of(&snapshot, &id.to_string())?;
        let payload = self.payload(repo, name, version, manifest)?;
        let untrusted = |e: release::Error| Refused {
            why: Refusal::Untrusted,
            message: crate::in_words(&e),
            hint: Some(format!(
                "skep verify --explain {}/{name}@{version}",
                repo.called()
            )),
        };
        let mut files = Files::of(&payload.bytes, &id, name, version).map_err(untrusted)?;
        let mut lease = self.node.in_use().lease();
        if let Some(tree) = files.tree() {
            lease.add([tree.hash]);
            self.want(id, &[tree], connection)?;
            let mut read = release::read_tree(self.store.as_ref(), &tree);
            if read.is_err() && !self.is_good(&tree.hash) {
                self.want(id, &[tree], connection)?;
                read = release::read_tree(self.store.as_ref(), &tree);
            }
            let bytes = read.map_err(untrusted)?;
            files.add_tree(&bytes).map_err(untrusted)?;
        }
        lease.add(files.blobs().iter().map(|blob| blob.hash));
        self.want(id, &files.blobs(), connection)?;
        self.hold(id, manifest, HoldingReason::Used, &files.blobs())
    }

    /// Waits until the store has these blobs, telling how far it is.
    fn want(
        &self,
        repo: RepoId,
        blobs: &[BlobRef],
        connection: &mut Connection,
    ) -> Result<(), Refused> {
        let wanted = blobs
            .iter()
            .map(|blob| (blob.hash, blob.size_bytes))
            .collect();
        let all_bytes = blobs.iter().map(|blob| blob.size_bytes).sum();
        let in_flight = || self.in_flight.of(blobs.iter().map(|blob| &blob.hash));
        let waiting = Waiting {
            at_most: None,
            done_bytes: &in_flight,
            all_bytes,
        };
        let want = |id| Input::Wanted {
            id,
            repo,
            blobs: wanted,
        };
        let reply = self.wait(want, &waiting, connection)?;
        want_ended(reply, &self.node.snapshot())
    }

    /// Reads a blob again. The store sets it aside if it is spoiled.
    pub(super) fn recheck_blob(&self, hash: &Blake3) -> Answered {
        match self.is_good(hash) {
            true => Ok(Response::Done),
            false => Err(not_found(format!(
                "the blob {hash} was damaged on disk, or is gone"
            ))),
        }
    }

    fn is_good(&self, hash: &Blake3) -> bool {
        let Ok(Some(info)) = self.store.blob(hash) else {
            return false;
        };
        let mut groups = 0..group_count(info.size);
        groups.all(|group| matches!(self.store.read_group(hash, group), Ok(Some(_))))
    }

    pub(super) fn open_blob(&self, hash: Blake3, connection: &mut Connection) -> Result<(), Error> {
        let opened = self.store.open(&hash).and_then(|file| {
            let info = self.store.blob(&hash)?;
            Ok(file.zip(info))
        });
        match opened {
            Ok(Some((file, info))) => {
                let blob = BlobRef {
                    hash,
                    size_bytes: info.size,
                };
                connection.send(&Response::Blob(blob), Some(file.as_fd()))
            }
            Ok(None) => {
                let refused = not_found(format!("the blob {hash} is not in the store"));
                connection.send(&Response::Refused(refused), None)
            }
            Err(error) => {
                let refused = failed(crate::in_words(&error));
                connection.send(&Response::Refused(refused), None)
            }
        }
    }
}

fn want_ended(reply: Reply, snapshot: &Snapshot) -> Result<(), Refused> {
    let (missing, liars) = match reply {
        Reply::Want(WantEnd::Stored) => return Ok(()),
        Reply::Want(WantEnd::Failed { missing, liars }) => (missing, liars),
        Reply::Want(WantEnd::Broken(why)) => return Err(failed(why)),
        other => return done(other).map(|_| ()),
    };
    if !liars.is_empty() {
        let names: Vec<String> = liars.iter().map(|peer| peer.key().fingerprint()).collect();
        return Err(Refused {
            why: Refusal::Untrusted,
            message: format!(
                "what {} sent is not what the manifest names, and nobody else has it",
                names.join(", ")
            ),
            hint: Some("try again when another peer is connected: skep node peers".to_owned()),
        });
    }
    let peers = snapshot.peers.len();
    Err(Refused {
        why: Refusal::Unreachable,
        message: match peers {
            0 => format!(
                "no peer is connected, and {} files are missing",
                missing.len()
            ),
            _ => format!(
                "none of {peers} connected peers has {} of the files",
                missing.len()
            ),
        },
        hint: Some("try again when a peer that has them is connected: skep node peers".to_owned()),
    })
}
