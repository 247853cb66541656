//! Tickets: the checksummed text that one gives a friend.
