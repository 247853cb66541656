//! One key's append-only list in one repository: entries, the tree over them, checkpoints, forks.

pub mod checkpoint;
pub mod entry;
pub mod fork;
pub mod tip;
pub mod tree;
