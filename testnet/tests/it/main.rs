//! Integration tests of the whole: what was agreed on, and real processes.

mod processes;
mod sim;
mod sim_interpreter;
mod sim_laws;
mod tidy;
