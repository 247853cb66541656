//! Integration tests of the protocol: formats, properties, outside vectors, the oracle of the view.

mod attacks;
mod chain;
mod golden;
mod properties;
mod vectors_authority;
mod view;
mod world;
