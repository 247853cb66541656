//! The license string of an object against the SPDX expression of its package and the BPF helpers
//! that it calls. Asked when somebody publishes, and again before every use.

use crate::ebpf::{Object, is_gpl_compatible};

/// Which SPDX expression an object's license string is taken for where a person has written none:
/// first the strings that the kernel takes for GPL-compatible, then two that many objects have and
/// that are not.
pub const LICENSES: [(&str, &str); 8] = [
    ("GPL", "GPL-2.0-only"),
    ("GPL v2", "GPL-2.0-only"),
    ("GPL and additional rights", "GPL-2.0-only"),
    ("Dual BSD/GPL", "GPL-2.0-only OR BSD-2-Clause"),
    ("Dual MIT/GPL", "GPL-2.0-only OR MIT"),
    ("Dual MPL/GPL", "GPL-2.0-only OR MPL-2.0"),
    ("Apache-2.0", "Apache-2.0"),
    ("MIT", "MIT"),
];

/// The SPDX expression for an object's license string; none where it may mean anything.
pub fn spdx_of(license: &str) -> Option<&'static str> {
    let found = LICENSES.iter().find(|(string, _)| *string == license);
    found.map(|(_, spdx)| *spdx)
}

/// Why an object may not stand in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The license string that it tells the kernel is not what the package is offered under.
    Expression(String),
    /// Linux keeps these helpers from an object that tells it this, or nothing.
    Helpers {
        names: Vec<&'static str>,
        license: Option<String>,
    },
}

/// Whether an object can be offered under an SPDX expression on a platform (`linux`, `windows`), and
/// be loaded there as what it says it is. An expression that is none is somebody else's error.
pub(super) fn check(expression: &str, platform: &str, object: &Object) -> Result<(), Conflict> {
    if let (Ok(expression), Some(said)) = (spdx::Expression::parse(expression), &object.license)
        && !fits(&expression, said)
    {
        return Err(Conflict::Expression(said.clone()));
    }
    let names = object.helpers_refused_for_license();
    // The numbers of helpers are another platform's own.
    if platform == "linux" && !names.is_empty() {
        let license = object.license.clone();
        return Err(Conflict::Helpers { names, license });
    }
    Ok(())
}

/// Whether a license expression can be what an object says.
///
/// An object that tells the kernel `GPL` must be offered under a GPL of version 2, perhaps beside
/// licenses of other parts; one that tells something else must not be offered under GPL alone, since
/// the kernel would refuse it what the GPL allows.
pub(super) fn fits(expression: &spdx::Expression, license: &str) -> bool {
    let mut names = expression
        .requirements()
        .map(|it| it.req.license.to_string());
    if is_gpl_compatible(license) {
        names.any(|name| name.starts_with("GPL-2.0"))
    } else {
        !names.all(|name| name.starts_with("GPL-"))
    }
}
