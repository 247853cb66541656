//! Integration tests of the protocol: formats, properties, outside vectors, the oracle of the view.

mod key_files;
mod outside;
mod vectors;
mod view;
mod blobs;
mod attacks;
mod chain;
mod golden;
mod properties;
mod vectors_authority;
mod view;
mod world;
