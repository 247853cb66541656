//! Messages of the sync stream, `/skep/sync/1`, with every limit.
