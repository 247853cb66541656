//! Limits of the protocol, each with its reason. Limits of one format stand beside that format.

/// Longest entry in bytes: what tlog-tiles' entry bundles can carry (a u16 length).
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Longest root document in bytes: 64 keys, cuts and reasons fit several times over.
pub const ROOT_DOCUMENT_BYTES_MAX: usize = 65_536;
/// Most signatures beside a root document.
pub const ROOT_SIGNATURES_MAX: usize = 64;
/// Most signatures inside an entry.
pub const ENTRY_SIGNATURES_MAX: usize = 32;
/// Longest manifest payload in bytes: with its signatures and fields it fits one entry.
pub const MANIFEST_BYTES_MAX: usize = 36_864;
/// A registrar's log counts up to this many entries: an index of authority that fits memory.
pub const REGISTRAR_ENTRIES_MAX: u64 = 1_000_000;
/// A registrar's log counts up to this many bytes.
pub const REGISTRAR_BYTES_MAX: u64 = 512 << 20;
/// Default of `limits.entries_per_log` in a first root document.
pub const ENTRIES_PER_LOG: u64 = 100_000;
/// Default of `limits.bytes_per_log` in a first root document.
pub const BYTES_PER_LOG: u64 = 64 << 20;
/// Longest checkpoint in bytes without its cosignatures.
pub const CHECKPOINT_BYTES_MAX: usize = 1_024;
/// Most cosignatures beside a checkpoint: a root document lists at most this many witnesses.
pub const COSIGNATURES_MAX: usize = 16;
/// Most hashes in an RFC 6962 proof: one a level and one more reach trees of 2^62 entries, beyond what
/// can exist.
pub const PROOF_HASHES_MAX: usize = 63;
/// Longest fork evidence in bytes: two checkpoints without cosignatures and one proof.
pub const EVIDENCE_BYTES_MAX: usize = 4_096;
