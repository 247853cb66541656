//! Real processes on loopback: what two strangers do, and what crashes, liars and mistakes do to them.
//!
//! The binary is the one that `SKEP_BIN` names, else it is built first. Whatever passes between nodes
//! is tested twice, the second time without gossip.

mod abuse;
mod altered;
mod archives;
mod bundle;
mod bundle_decided;
mod client;
mod crash;
mod damage;
mod forge;
mod full_disk;
mod home;
mod hostile;
mod l3afd;
mod lan;
mod mirror;
mod nonsense;
mod objects;
mod owner;
mod pages;
mod refused;
mod rules;
mod service;
mod snippet;
mod story;
mod together;
mod tree;
