//! The view: authority and entries to index records and their hash, the same on every node.
