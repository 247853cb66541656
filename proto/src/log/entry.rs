//! Entries: every kind, its body, and what makes an entry void.
