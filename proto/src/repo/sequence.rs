//! The sequence: every operation of authority, judged once, at its position.
