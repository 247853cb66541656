//! What a repository says: its root documents, the sequence of authority, the view.

pub mod authority;
pub mod chain;
pub mod fact;
pub mod root;
pub mod sequence;
pub mod view;
