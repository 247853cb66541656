//! Entries that a .skep file brings: what a peer would have been asked for, without a peer.

use skep_proto::claimed::Claimed;
use skep_proto::repo::sequence::LogUse;

use crate::core::Core;
use crate::core::effect::{Effect, Reply};
use crate::core::input::{Carry, RequestId};
use crate::core::repository::Target;

impl Core {
    /// Takes entries as [`Core::received`] does. `Reply::Size` says from where on they are wanted,
    /// if it is not where they begin.
    pub(in crate::core) fn carry(&mut self, request: RequestId, carry: Carry) {
        let reply = match self.carried(carry) {
            Ok(()) => Reply::Done,
            Err(reply) => reply,
        };
        self.reply(request, reply);
    }

    fn carried(&mut self, carry: Carry) -> Result<(), Reply> {
        let refuse = |why: &str| Reply::Refused(why.to_owned());
        let Carry {
            repo: id,
            checkpoint,
            cut,
            from,
            entries,
            proof,
        } = carry;
        let repo = self.repos.get_mut(&id);
        let repo = repo.ok_or_else(|| refuse("this node does not follow the repository"))?;
        let key = checkpoint.key;
        if !repo.is_admitted(&key) {
            return Err(refuse("the repository does not list this key"));
        }
        let Ok(checkpoint) = Claimed(checkpoint).verify(&id, &repo.witnesses()) else {
            return Err(refuse("the checkpoint's signature is false"));
        };
        let checkpoint = checkpoint.into_inner();
        let (wanted, target) = match cut {
            None => (repo.has_room_for(&checkpoint), Target::whole(checkpoint)),
            Some(cut) => {
                let (size, root) = (cut.mark.size, cut.mark.root);
                let named = repo.use_of(&key) == LogUse::NotHeld { size, root };
                let wanted = named && cut.mark.key == key && cut.is_consistent();
                (wanted, Target::cut(cut.of(checkpoint)))
            }
        };
        if !wanted || entries.is_empty() {
            return Err(refuse("nothing more of this log is wanted"));
        }
        // As many entries as the cut keeps, or more, and not that root: another branch.
        if target.cut.is_some() && repo.size(&key) >= target.end().0 {
            let change = repo.make_room(&key);
            self.out.extend(change.map(Effect::Persist));
        }
        let Some(repo) = self.repos.get_mut(&id) else {
            return Ok(());
        };
        if repo.size(&key) != from {
            return Err(Reply::Size(repo.size(&key)));
        }
        if !repo.proves(&key, &entries, target.end(), &proof) {
            // A remainder of another branch may be in the way, as of a peer that did not go on.
            return match repo.drop_remainder(&key) {
                Some(change) => {
                    self.out.push(Effect::Persist(change));
                    Err(Reply::Size(repo.size(&key)))
                }
                None => Err(refuse("the entries are not under their checkpoint")),
            };
        }
        self.commit(id, key, entries, &target, None);
        Ok(())
    }
}
