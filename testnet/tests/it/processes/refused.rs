//! Nodes that cannot run, and say why.

use std::fs;

use super::home::{Home, author};

#[test]
fn a_second_node_on_one_store_names_the_first() {
    let author = author(true);
    let pid = author.node.as_ref().expect("a node").id().to_string();
    fs::remove_file(author.path().join("skep.sock")).expect("removed");
    let said = author.fails(1, &["node", "run"]);
    assert!(said.contains(&pid), "{said}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new(true);
    home.publish("0.1.0");
    let path = home.path().join("store/format");
    let newer = fs::read_to_string(&path)
        .expect("read")
        .replacen('1', "2", 1);
    fs::write(&path, &newer).expect("written");
    let said = home.fails(1, &["repo"]);
    assert!(said.contains("format 2"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("read"), newer);
}
