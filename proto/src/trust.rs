//! Local trust: rules, view and release to a decision with its facts.
