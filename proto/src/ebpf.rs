//! Facts read from a compiled eBPF object, bounded and without panics.
