//! What a change of a repository's file would do, before anybody writes it.

use skep_proto::control::{self, MirrorChange, MirrorLine, Response};
use skep_proto::hash::Sha256;
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;
use skep_proto::trust::file::RepoFile;

use super::{LINES_MAX, read};
use crate::control::answer::{Answered, Answers, failed};
use crate::core::HoldingReason;
use crate::gc;
use crate::mirror::{self, At, Change, Line, Release, Repo, State};
use crate::release;
use crate::snapshot::Snapshot;

impl Answers {
    pub(in crate::control::answer) fn plan_mirror(
        &self,
        id: RepoId,
        file: &str,
        dropped: &[control::Dropped],
    ) -> Answered {
        let file = RepoFile::parse(file).map_err(|e| failed(crate::in_words(&e)))?;
        if file.id != id {
            return Err(failed(format!(
                "the file is of the repository {}, not of {id}",
                file.id
            )));
        }
        let dropped = read(dropped)?;
        let snapshot = self.node.snapshot();
        loop {
            let size_of = |manifest: &Sha256| self.notes.size_bytes(manifest);
            let (repos, other_bytes) = mirror::survey(&snapshot, &size_of);
            let quota = self.config.quota;
            let change = mirror::change(&repos, (id, &file), &dropped, other_bytes, quota);
            // What has another size may leave room for others, which have none yet.
            if !self.measure(&snapshot, &change.repos, &change.unsized_) {
                return Ok(Response::MirrorChange(self.said(&snapshot, &change)));
            }
        }
    }

    /// Learns the sizes of what is to come from what is here; whether any was new. Nothing is fetched
    /// for it: whoever looks has not said that anything shall be.
    pub(super) fn measure(&self, snapshot: &Snapshot, repos: &[Repo<'_>], which: &[At]) -> bool {
        let mut learnt = false;
        for at in which {
            let of = &repos[at.repo];
            let release = &of.releases[at.release];
            let Some(repo) = snapshot.repo(&RepoRef::Id(of.id)) else {
                continue;
            };
            let which = (release.name, release.version);
            let size = release::size_bytes(repo, self.store.as_ref(), which, release.manifest);
            if let Ok(size_bytes) = size {
                self.notes.learn_size(release.manifest, size_bytes);
                learnt = true;
            }
        }
        learnt
    }

    fn said(&self, snapshot: &Snapshot, change: &Change<'_>) -> MirrorChange {
        let going = change.let_go.keys().filter(|at| !is_used(change, at));
        let going = going.map(|at| (change.repos[at.repo].id, release_at(change, at).manifest));
        let freed = gc::freed(snapshot, &going.collect());
        let sizes = change.fetched.keys();
        let sizes: Vec<Option<u64>> = sizes.map(|at| release_at(change, at).size_bytes).collect();
        let known = sizes.iter().flatten();
        let lines = [&change.let_go, &change.fetched, &change.no_room];
        let all: usize = lines.iter().map(|lines| lines.len()).sum();
        let said = lines.into_iter().flatten().take(LINES_MAX);
        MirrorChange {
            fetched: change.fetched.len() as u64,
            fetched_bytes: known.copied().fold(0, u64::saturating_add),
            unknown_sizes: sizes.iter().filter(|size| size.is_none()).count() as u64,
            no_room: change.no_room.len() as u64,
            freed_bytes: freed.values().copied().fold(0, u64::saturating_add),
            releases: said
                .map(|(at, line)| self.line_of_change(snapshot, change, *at, *line))
                .collect(),
            left_off: all.saturating_sub(LINES_MAX),
        }
    }

    fn line_of_change(
        &self,
        snapshot: &Snapshot,
        change: &Change<'_>,
        at: At,
        line: Line,
    ) -> MirrorLine {
        let mut said = self.line_of(snapshot, &change.repos, at, line);
        match line.state {
            State::Leaves { .. } if is_used(change, &at) => {
                "here".clone_into(&mut said.state);
                let why = "it is used here, so it stays, and is offered no more";
                said.because = Some(why.to_owned());
            }
            // Nobody has tried yet.
            State::Missing => said.because = None,
            State::Unsized => {
                let why = "whether it fits is known once its list of files is here";
                said.because = Some(why.to_owned());
            }
            _ => {}
        }
        said
    }
}

/// What is used as well stays for that when no rule keeps it.
fn is_used(change: &Change<'_>, at: &At) -> bool {
    let here = release_at(change, at).here;
    here.is_some_and(HoldingReason::is_used)
}

fn release_at<'c, 'a>(change: &'c Change<'a>, at: &At) -> &'c Release<'a> {
    &change.repos[at.repo].releases[at.release]
}
