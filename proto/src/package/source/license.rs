//! The license string of an object against SPDX.

/// What an object's `license` section says to the kernel, and which SPDX expression that is taken
/// for. The kernel's list of GPL-compatible strings (`license_is_gpl_compatible`), and two that it
/// knows are not.
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

/// Whether a license expression can be what an object says: of `GPL` strings it must offer some
/// GPL-2.0, of the others it is not the kernel's matter.
pub(super) fn fits(expression: &spdx::Expression, license: &str) -> bool {
    let is_gpl = license.contains("GPL");
    let offers_gpl = expression.requirements().any(|requirement| {
        let id = requirement.req.license.id();
        id.is_some_and(|id| id.name.starts_with("GPL-2.0"))
    });
    // An object that tells the kernel `GPL` must be offered under it; one that does not must not
    // be sold as GPL only.
    if is_gpl {
        offers_gpl
    } else {
        !only_gpl(expression)
    }
}

fn only_gpl(expression: &spdx::Expression) -> bool {
    expression.requirements().all(|requirement| {
        let id = requirement.req.license.id();
        id.is_some_and(|id| id.name.starts_with("GPL-"))
    })
}
