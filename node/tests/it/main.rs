//! Integration tests of the node: attacks on the core, the store's contract, the network on loopback, search.

mod attacks;
mod net;
mod search;
mod store;
