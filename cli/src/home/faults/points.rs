/// Every point, named after the kind of file and the step that it follows or precedes. The crash
/// tests read this list too.
pub(crate) const POINTS: &[&str] = &[
    "key.before-fsync",
    "key.before-naming",
    "key.after-naming",
    "public.before-fsync",
    "public.before-naming",
    "public.after-naming",
    "tip.before-fsync",
    "tip.before-naming",
    "tip.after-naming",
    "repo.before-fsync",
    "repo.before-naming",
    "repo.after-naming",
    "tree.before-fsync",
    "tree.before-naming",
    "tree.after-naming",
    "package.before-fsync",
    "package.before-naming",
    "package.after-naming",
];
