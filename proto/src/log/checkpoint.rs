//! Checkpoints: C2SP signed notes over the root of a log, and their cosignature lines.
