//! Honest nodes do not take each other for liars, whatever the network and the liars do.

use skep_node::core::{Event, SessionId};

use super::{Broken, ensure};
use crate::author::World;
use crate::host::Host;

/// Before a ban.
pub fn the_honest_do_not_ban_the_honest(
    host: &Host,
    world: &World,
    session: SessionId,
) -> Result<(), Broken> {
    let peer = host.peer_of(session);
    let honest = peer.is_some_and(|peer| world.honest.contains(&peer));
    ensure(!honest, "honest nodes never ban honest nodes", || {
        format!("{} bans {peer:?}", host.id)
    })
}

/// Before news of misbehaviour, which says what for.
pub fn the_honest_do_not_accuse_the_honest(
    host: &Host,
    world: &World,
    event: &Event,
) -> Result<(), Broken> {
    let Event::Misbehaved { peer, what } = event else {
        return Ok(());
    };
    let honest = world.honest.contains(peer);
    ensure(!honest, "honest nodes never accuse honest nodes", || {
        format!("{} accuses {peer}: {what}", host.id)
    })
}
