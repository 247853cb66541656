//! Evidence convicts nobody who signed one log only.

use skep_proto::claimed::Claimed;
use skep_proto::id::RepoId;
use skep_proto::log::fork::ForkEvidence;

use super::{Broken, ensure};
use crate::author::World;

/// After evidence was made durable.
pub fn only_forkers_are_convicted(
    world: &World,
    repo: &RepoId,
    evidence: &ForkEvidence,
) -> Result<(), Broken> {
    let law = "only forkers are convicted";
    let valid = Claimed(evidence.clone()).verify(repo).is_ok();
    ensure(valid, law, || "evidence that proves nothing".to_owned())?;
    let key = evidence.key();
    let forked = world.repo(repo).is_none_or(|repo| repo.has_forked(key));
    ensure(forked, law, || format!("`{key}` signed one log"))
}
