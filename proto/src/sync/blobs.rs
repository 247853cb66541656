//! Messages of the blob exchange, `/skep/blob/1`.
