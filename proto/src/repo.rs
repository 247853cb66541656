//! What a repository says: its root documents, the sequence of authority, the view.

pub mod chain;
pub mod root;
pub mod sequence;
pub mod view;
