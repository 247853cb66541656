//! Fork evidence: two checkpoints of one key that no honest log could have.
