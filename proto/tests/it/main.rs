//! Integration tests of the protocol: formats, properties, outside vectors, the oracle of the view.

mod attack_table;
mod attacks;
mod blob;
mod blobs;
mod bundle;
mod chain;
mod checkpoint;
mod ebpf;
mod golden;
mod hostile;
mod key_files;
mod manifest;
mod merkle;
mod outside;
mod policy;
mod properties;
mod tampering;
mod trie;
mod vectors;
mod vectors_authority;
mod vectors_messages;
mod view;
mod world;
