//! Root documents: who owns a repository, as a signed chain.
