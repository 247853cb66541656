//! Finding each other on a local network that the test makes.
