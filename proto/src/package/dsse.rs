//! DSSE: what a signature over a payload covers.
