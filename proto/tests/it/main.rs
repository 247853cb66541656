//! Integration tests of the protocol: formats, properties, outside vectors, the oracle of the view.

mod checkpoint;
mod golden;
mod merkle;
mod outside;
mod trie;
mod vectors;
