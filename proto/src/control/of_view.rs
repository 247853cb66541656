//! Parts of a view in the words of the control protocol.

use crate::log::entry::Role;
use crate::name::Version;
use crate::repo::authority;
use crate::repo::view::{self, ReleaseState, View};

use super::{Handle, ReleaseLine};

impl Handle {
    /// A contributor as a view has it.
    pub fn of(view: &View, handle: &authority::Handle) -> Self {
        let names = view.authority.names.values();
        Self {
            id: handle.id,
            label: handle.label.clone(),
            m: handle.publish_threshold.into(),
            c: handle.change_threshold.into(),
            keys: handle.keys.iter().copied().collect(),
            roles: handle
                .roles
                .iter()
                .map(|role| role_word(*role).to_owned())
                .collect(),
            names: names
                .filter(|owned| owned.owner == handle.id)
                .map(|owned| owned.name.clone())
                .collect(),
            suspended: view.is_handle_suspended(handle.id),
        }
    }
}

impl ReleaseLine {
    /// One version as a view has it.
    pub fn of(version: &Version, release: &view::Release) -> Self {
        Self {
            version: version.clone(),
            state: match release.state {
                ReleaseState::Listed(_) => "listed",
                ReleaseState::Pending(_) => "pending",
                ReleaseState::Quarantined => "quarantined",
            }
            .to_owned(),
            yanked: release.yanked.on,
            deprecated: release.deprecated.on,
            suspended: release.suspended.on,
        }
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Publisher => "publisher",
        Role::Approver => "approver",
        Role::Reviewer => "reviewer",
        Role::Attester => "attester",
        Role::Advisor => "advisor",
    }
}
