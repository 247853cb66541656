//! The manifest: an in-toto Statement about the files of one release.
