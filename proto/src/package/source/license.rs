//! The license string of an object against SPDX.

/// What an object's `license` section says to the kernel, and which SPDX expression that is taken
/// for where a person has written none: first the strings that make it GPL-compatible for the kernel
/// (`license_is_gpl_compatible`), then two that many objects have and that do not.
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

/// Whether a license expression can be what an object says.
///
/// An object that tells the kernel `GPL` must be offered under a GPL of version 2, perhaps beside
/// licenses of other parts; one that tells something else must not be offered under GPL alone, since
/// the kernel would refuse it what the GPL allows.
pub(super) fn fits(expression: &spdx::Expression, license: &str) -> bool {
    let is_gpl = spdx_of(license).is_some_and(|spdx| spdx.starts_with("GPL-2.0"));
    let mut names = expression
        .requirements()
        .map(|it| it.req.license.to_string());
    if is_gpl {
        names.any(|name| name.starts_with("GPL-2.0"))
    } else {
        !names.all(|name| name.starts_with("GPL-"))
    }
}
