//! Chunk groups: a blob in pieces that verify alone.
