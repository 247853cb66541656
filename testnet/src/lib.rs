//! Tests of the whole: real processes on loopback, and what was agreed on about the architecture.
//! They are in `tests/it`.
