//! The node: a pure core that decides, and the adapters around it that act, joined by one driver.

pub mod core;
pub mod snapshot;
pub mod store;
