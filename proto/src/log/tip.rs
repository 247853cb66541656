//! The author's side: how far a key has signed, and what no node has acknowledged yet.
