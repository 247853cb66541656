//! The exchange of blobs: streams on which groups are asked for and answered.

pub(super) mod fetch;
pub(super) mod serve;
