//! Claimed and proved are different types.
//!
//! What arrives from a peer, a file or a person is [`Claimed`]. Only the verifying functions of
//! this crate make it [`Verified`], and only verified things reach the view, the store and clients.

/// Decoded, bounded, and not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed<T>(pub T);

/// Proved by a function of this crate; nothing else can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// To be called only where the proof is, right after it.
    pub(crate) fn new(proved: T) -> Self {
        Self(proved)
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
