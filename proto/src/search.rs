//! Searching packages: what a query says, what of a package can be found, what is answered.
//!
//! One parser serves the command line, the control protocol and the pages. Which packages are looked
//! at, and how they are ranked, is the node's matter.

mod answer;
mod document;
mod kernel;
mod query;
mod words;

pub use answer::{Found, HITS_MAX, Hit, Page, Sort};
pub use document::{Document, Field, Kernels, PROGRAMS_MAX, WORDS_MAX};
pub use kernel::KernelVersion;
pub use query::{FIELDS, Filter, QUERY_BYTES_MAX, Query, QueryError, TERMS_MAX, Word};
pub use words::{WORD_BYTES_MAX, words};

#[cfg(test)]
mod tests;
