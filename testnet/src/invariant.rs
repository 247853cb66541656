//! Laws: what holds in every run, checked after every step that could break them.

pub mod acknowledged;
pub mod answered;
pub mod blobs;
pub mod bounded;
pub mod committed;
pub mod convergence;
pub mod derivation;
pub mod evidence;
pub mod honesty;
pub mod restart;
pub mod wire;

use skep_node::core::Effect;
use skep_node::store::Change;

use crate::author::World;
use crate::host::Host;

/// A law that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broken: {law}: {what}")]
pub struct Broken {
    pub law: String,
    pub what: String,
}

impl Broken {
    pub fn law(law: &str, what: impl Into<String>) -> Self {
        Self {
            law: law.to_owned(),
            what: what.into(),
        }
    }
}

/// Says what is broken, unless `holds`.
pub fn ensure(holds: bool, law: &str, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds {
        return Ok(());
    }
    Err(Broken::law(law, what()))
}

/// Before an effect is carried out.
pub fn before(host: &Host, world: &World, effect: &Effect) -> Result<(), Broken> {
    if !host.is_honest() {
        return Ok(());
    }
    match effect {
        Effect::Send { message, .. } => {
            wire::what_is_sent_can_be_read(message)?;
            wire::what_is_told_is_durable(host, world, message)
        }
        Effect::Gossip { data, .. } => wire::what_is_gossiped_is_durable(host, world, data),
        Effect::Disconnect {
            session,
            ban_s: Some(_),
        } => honesty::the_honest_do_not_ban_the_honest(host, world, *session),
        Effect::Tell(event) => honesty::the_honest_do_not_accuse_the_honest(host, world, event),
        _ => Ok(()),
    }
}

/// After a change was made durable.
pub fn kept(host: &Host, world: &World, change: &Change) -> Result<(), Broken> {
    match change {
        Change::Append { repo, key, .. } => {
            committed::what_is_committed_is_signed(host, repo, key)?;
            committed::what_is_committed_was_said(host, world, repo, key)?;
            committed::only_admitted_logs_are_kept(world, repo, key)
        }
        Change::Evidence { repo, evidence } => {
            evidence::only_forkers_are_convicted(world, repo, evidence)
        }
        _ => Ok(()),
    }
}

/// After readers were shown something else.
pub fn shown(host: &mut Host, world: &World) -> Result<(), Broken> {
    derivation::what_is_listed_follows_from_the_disk(host, world)
}
