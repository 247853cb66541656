//! What an interpreter of effects can do wrong, done on purpose: a law that no run can break is no law.

/// One thing that a sabotaged host does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// What is sent leaves before what was to be durable is.
    SendsFirst,
    /// Documents of a chain are not written.
    ForgetsRoots,
    /// Entries of logs are not written.
    ForgetsLogs,
    /// Facts are not written.
    ForgetsFacts,
    /// A blob is said to be stored when the first part of it has come, whatever it is.
    StoresEarly,
}
