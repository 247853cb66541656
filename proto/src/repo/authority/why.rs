//! Why an operation has no effect, in words.

use crate::key::Key;

/// Why an operation has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("a handle of {keys} keys of which {publish} publish and {change} change it")]
    Thresholds {
        publish: u8,
        change: u8,
        keys: usize,
    },
    #[error("a cut at {size} where logs end at {max}")]
    BeyondLimit { size: u64, max: u64 },
    #[error("a handle that begins by dropping keys")]
    CreationDrops,
    #[error("a handle operation that its new key `{0}` has not signed")]
    NotSigned(Key),
    #[error("a handle operation with a false signature of `{0}`")]
    FalseSignature(Key),
    #[error("a handle operation with the key `{0}`, which another operation has listed before")]
    KeyTaken(Key),
    #[error("a handle with the label of an earlier one")]
    LabelTaken,
    #[error("a handle operation after one that is not the latest effective one of a handle")]
    NotLatest,
    #[error("a change of a handle's label")]
    LabelChanged,
    #[error("a change of keys that does not drop exactly the removed ones")]
    Drops,
    #[error(
        "a change signed by {signed} uncut keys of the handle where {threshold} must{}",
        false_signatures(.falsely_signed)
    )]
    TooFewSigned {
        signed: usize,
        threshold: u8,
        falsely_signed: Vec<Key>,
    },
    #[error("a grant to a handle that does not exist before it")]
    NoSuchHandle,
    #[error("a grant of names with a role that has none")]
    RoleWithNames,
    #[error("a cut of the key `{0}`, which no handle has listed before")]
    NeverListed(Key),
}

fn false_signatures(keys: &[Key]) -> String {
    keys.iter()
        .map(|key| format!(", with a false signature of `{key}`"))
        .collect()
}
