//! The deterministic simulator: nodes whose world is a queue, a clock and a seed.
//!
//! The core of a node decides and does nothing, so a run follows from its inputs. Here a second
//! interpreter of its effects stands in for the network, the disk and the clock; laws are checked
//! after every step; a failure is a seed, and a seed repeats it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod author;
pub mod dice;
pub mod disk;
pub mod exchange;
pub mod host;
pub mod invariant;
pub mod lie;
pub mod link;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod sim;
pub mod trace;
