//! Integration tests of the protocol: formats, properties, outside vectors, the oracle of the view.

mod ebpf;
