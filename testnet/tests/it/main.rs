//! it


