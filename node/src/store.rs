//! The store: files hold the truth, the index can be rebuilt.
