//! `skep.toml`: what an author writes, cross-checked with what the objects say.
