//! The .skep file: checked, taken, written. The file itself comes by descriptor.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Instant;

use skep_proto::control::{Bundle, Progress, Refusal, Refused, Request, Response, Room, Take};
use skep_proto::id::RepoId;
use skep_proto::name::RepoRef;

use super::{Answered, Answers, PROGRESS_EVERY, failed};
use crate::bundle::{self, Known, Taken};
use crate::control::Connection;

/// Tells whoever waits how far it is, and ends the work once they are gone.
struct Teller<'a> {
    connection: &'a mut Connection,
    last: Instant,
}

impl Teller<'_> {
    fn tell(&mut self, done_bytes: u64, all_bytes: u64) -> Result<(), Refused> {
        if self.last.elapsed() < PROGRESS_EVERY {
            return Ok(());
        }
        self.last = Instant::now();
        let progress = Progress {
            done_bytes,
            all_bytes,
        };
        let sent = self.connection.send(&Response::Progress(progress), None);
        sent.map_err(|_| failed("the command is gone"))
    }
}

impl Answers {
    /// Answers what is asked about a file; `known` is the one that was checked last in this
    /// conversation.
    pub(super) fn bundle(
        &self,
        request: &Request,
        file: Option<OwnedFd>,
        known: &mut Option<Known>,
        connection: &mut Connection,
    ) -> Answered {
        let file = file.ok_or_else(|| failed("no file came with the request"))?;
        let file = File::from(file);
        let mut teller = Teller {
            connection,
            last: Instant::now(),
        };
        match request {
            Request::CheckBundle { expect } => {
                let read = self.known(&file, expect, known.take(), &mut teller)?;
                let report = self.compared(&file, &read)?;
                *known = Some(read);
                Ok(Response::Bundle(Box::new(report)))
            }
            Request::ImportBundle {
                expect,
                older,
                take,
            } => {
                let read = self.known(&file, expect, known.take(), &mut teller)?;
                let taken = self.import(&file, &read, *older, *take, &mut teller);
                // Whoever took its logs decides, and may take files next.
                *known = Some(read);
                taken
            }
            Request::ExportBundle { releases } => {
                let snapshot = self.node.snapshot();
                let told = |done, all| teller.tell(done, all);
                bundle::export(releases, file, &snapshot, self.store.as_ref(), told)?;
                Ok(Response::Done)
            }
            _ => Err(failed("this is not about a file")),
        }
    }

    fn known(
        &self,
        file: &File,
        expect: &BTreeSet<RepoId>,
        known: Option<Known>,
        teller: &mut Teller<'_>,
    ) -> Result<Known, Refused> {
        let id = bundle::id_of(file, expect)?;
        if let Some(known) = known.filter(|known| known.id == id) {
            return Ok(known);
        }
        let all = file.metadata().map_or(0, |metadata| metadata.len());
        let checked = bundle::check(file, expect, |done| teller.tell(done, all))?;
        Ok(Known { id, checked })
    }

    fn compared(&self, file: &File, known: &Known) -> Result<Bundle, Refused> {
        for repo in known.checked.repos.keys() {
            self.refuse_stopped_repo(repo)?;
        }
        let snapshot = self.node.snapshot();
        let mut report = bundle::compare(file, &known.checked, &snapshot, self.store.as_ref())?;
        report.room = Some(Room {
            held_bytes: snapshot.held_bytes(),
            quota_bytes: self.config.quota,
        });
        Ok(report)
    }

    fn import(
        &self,
        file: &File,
        known: &Known,
        older: bool,
        take: Take,
        teller: &mut Teller<'_>,
    ) -> Answered {
        let mut report = self.compared(file, known)?;
        if let Some(repo) = report.repos.iter().find(|repo| repo.alias.is_none()) {
            return Err(Refused {
                why: Refusal::NotFound,
                message: format!("this node does not follow the repository {}", repo.id),
                hint: Some("the same again follows it, once you have compared its id".to_owned()),
            });
        }
        if report.is_older() && !older {
            let behind = report.repos.iter().flat_map(|repo| &repo.behind);
            let behind: Vec<&str> = behind.map(String::as_str).collect();
            return Err(Refused {
                why: Refusal::Failed,
                message: format!(
                    "the file is older than what is held here: {}",
                    behind.join("; ")
                ),
                hint: Some(
                    "ask for a newer one; --older takes the files of its releases".to_owned(),
                ),
            });
        }
        let before = self.node.snapshot();
        let taken = Taken {
            file,
            checked: &known.checked,
            node: &self.node,
            store: self.store.as_ref(),
            take,
        };
        bundle::commit(&taken, |done, all| teller.tell(done, all))?;
        let after = self.node.snapshot();
        for repo in &mut report.repos {
            let id = RepoRef::Id(repo.id);
            if let Some(now) = after.repo(&id) {
                let before = before.repo(&id).map(AsRef::as_ref);
                bundle::after(repo, now, before, self.store.as_ref());
            }
        }
        Ok(Response::Bundle(Box::new(report)))
    }
}
