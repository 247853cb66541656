//! What nodes say to each other: the frontier trie, the messages, the blob exchange.

pub mod blobs;
pub mod trie;
pub mod wire;
