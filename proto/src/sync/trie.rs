//! The radix trie that finds what two nodes hold differently.
