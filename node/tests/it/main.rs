//! Integration tests of the node: the store's contract, the network on loopback.

mod net;
mod store;
