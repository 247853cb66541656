//! The command line as a product: its manual, its JSON, and how it behaves on pipes and signals.

mod fixture;
mod homes;
mod json;
mod manual;
mod mistakes;
mod nodes;
mod search;
mod streams;
mod templates;
mod transcripts;
