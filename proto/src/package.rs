//! A release as its publisher states it: the manifest, its signature, and the file it is written from.

pub mod dsse;
mod license;
pub mod manifest;
pub mod source;
