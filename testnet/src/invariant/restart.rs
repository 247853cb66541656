//! A restart changes nothing: what a core is rebuilt from says what it said before.

use skep_node::core::{Core, Effect, Input, Time};

use super::{Broken, ensure};
use crate::host::Host;

const LAW: &str = "a restart changes nothing";

/// When a node is up and at rest.
pub fn a_restart_changes_nothing(host: &Host) -> Result<(), Broken> {
    if !host.is_up() {
        return Ok(());
    }
    let mut again = Core::new(host.id, [0; 32], host.disk.restore());
    let repos = host.config.clone();
    let effects = again.handle(Time::default(), Input::Configured { repos });
    let shown = effects.iter().rev().find_map(|effect| match effect {
        Effect::Show(snapshot) => Some(snapshot),
        _ => None,
    });
    for (_, file) in &host.config {
        let view = shown.and_then(|shown| {
            let mut repos = shown.repos();
            let repo = repos.find(|repo| repo.id == file.id)?;
            repo.view_hash
        });
        let (before, trie) = (host.view_hash(&file.id), again.frontier(&file.id));
        ensure(view == before, LAW, || {
            format!("the view of {} was {before:?} and is {view:?}", host.id)
        })?;
        ensure(trie == host.frontier(&file.id), LAW, || {
            format!("the trie of {} is another", host.id)
        })?;
    }
    let wrote = effects.iter().any(|e| matches!(e, Effect::Persist(_)));
    ensure(!wrote, LAW, || format!("{} writes at its start", host.id))
}
