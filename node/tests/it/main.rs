//! Integration tests of the node: attacks on the core, the store's contract, the network on loopback.

mod attacks;
mod net;
mod store;
