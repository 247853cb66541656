//! The protocol of Skep as pure functions: no socket, no disk, no clock, no dice.
//!
//! # The trust model on one page
//!
//! A **repository** is the hash of its first *root document*; root documents form a chain in which
//! a threshold of the old and the new root keys signs each step ([`repo::root`]). The last document
//! names the live *registrar*, the one key whose log holds the operations of authority: which keys
//! make up a *handle* (a contributor), which handle owns a name or has a role, what a key said that
//! no longer counts ([`repo::sequence`]). Every contributor key has an append-only *log*: an RFC 6962
//! Merkle tree whose *checkpoints* the key signs, so that one signature covers the whole history and
//! two inconsistent ones prove cheating ([`log`]). From root documents, entries and fork evidence
//! alone follows the *view*, the same on every node ([`repo::view`]).
//!
//! What a person believes is another matter, local, and empty at first: [`trust`].
//!
//! What arrives is [`claimed::Claimed`]; only verification makes it [`claimed::Verified`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod blob;
pub mod bundle;
pub mod bytes;
pub mod claimed;
pub mod control;
pub mod ebpf;
pub mod fault;
pub mod hash;
pub mod id;
pub mod json;
pub mod key;
pub mod l3afd;
pub mod limits;
pub mod log;
pub mod name;
pub mod package;
pub mod render;
pub mod repo;
pub mod search;
pub mod size;
pub mod sorted;
pub mod sync;
pub mod text;
pub mod ticket;
pub mod trust;
