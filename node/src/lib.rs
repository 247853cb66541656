//! The node: a pure core that decides, and the adapters around it that act, joined by one driver.

pub mod config;
pub mod control;
pub mod core;
mod driver;
mod gateway;
mod keeper;
pub mod net;
mod perform;
mod restore;
pub mod run;
pub mod snapshot;
pub mod store;
