//! The network: the only place that says libp2p.
