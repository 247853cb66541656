//! The store: its contract on both implementations, then what only a disk can do to it.

mod crash;
mod damage;
mod index;
mod room;
mod start;

use skep_node::store::contract::{CHECKS, Open};
use skep_node::store::disk::Disk;
use skep_node::store::memory::Memory;
use skep_node::store::{Faults, Store};

/// Runs every check in a thread of its name, so that a failure says which one it was.
fn keeps_the_contract(run: impl Fn(fn(Open<'_>)) + Copy + Send + 'static) {
    let failed: Vec<_> = CHECKS
        .iter()
        .filter(|check| {
            let check = **check;
            let thread = std::thread::Builder::new().name(check.name.into());
            let thread = thread.spawn(move || run(check.run));
            thread.expect("a thread").join().is_err()
        })
        .map(|check| check.name)
        .collect();
    assert_eq!(failed, [""; 0]);
}

#[test]
fn the_disk_keeps_the_contract() {
    keeps_the_contract(|check| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        check(&|| {
            let disk = Disk::open(&path, Faults::none()).expect("the store opens");
            assert_eq!(disk.events(), [], "nothing to repair");
            Box::new(disk) as Box<dyn Store>
        });
    });
}

#[test]
fn memory_keeps_the_contract() {
    keeps_the_contract(|check| {
        let memory = Memory::new();
        check(&|| Box::new(memory.clone()));
    });
}
