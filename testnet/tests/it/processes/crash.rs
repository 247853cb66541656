//! kill -9 at every durable step, and at any moment.

use super::home::{Home, author};

#[test]
fn a_crash_at_any_durable_step_of_publish_loses_nothing_and_kills_no_key() {
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let home = Home::new(true);
        home.publish("0.1.0");
        let package = home.package("0.2.0");
        let mut command = home.command(&["publish", &package]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        home.ok(&["publish", &package]);
        assert_eq!(home.newest().as_deref(), Some("0.2.0"), "{point}");
        home.ok(&["info", "ana/drop@0.1.0"]);
        home.publish("0.3.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}

#[test]
fn a_crash_at_any_durable_step_of_get_is_made_good_by_the_next() {
    let author = author(true);
    let ticket = author.ticket();
    let mut crashed = 0;
    for point in skep_node::store::POINTS {
        let friend = Home::new(true);
        let mut command = friend.command(&["get", &ticket]);
        let out = command
            .env("SKEP_FAULT_POINT", point)
            .output()
            .expect("skep starts");
        crashed += usize::from(!out.status.success());
        friend.ok(&["get", &ticket]);
        friend.same_files("drop-0.1.0");
    }
    assert!(crashed >= 10, "only {crashed} points were reached");
}
