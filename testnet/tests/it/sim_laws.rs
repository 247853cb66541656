//! Every law of the simulator, broken on purpose: one that no run can break is no law.

use skep_node::core::{Command, Holding, HoldingReason, Queue};
use skep_node::store::{Change, Store as _};
use skep_proto::blob::GROUP_BYTES;
use skep_proto::hash::{Blake3, Sha256};
use skep_proto::sync::wire::{Answer, ENTRIES_MAX, FRAME_BYTES_MAX, Message};
use skep_testnet::invariant::convergence::{is_listed, is_not_listed};
use skep_testnet::invariant::{Broken, bounded, wire};
use skep_testnet::lie::Lie;
use skep_testnet::sabotage::Sabotage;
use skep_testnet::scenario::Plan;
use skep_testnet::sim::Sim;

/// Two nodes, of which the second does something wrong, and a repository with one publisher.
fn pair(sabotage: Option<Sabotage>) -> Sim {
    let mut sim = Sim::new(1, false);
    sim.world.found("repo", 1);
    let repos = [sim.world.repos[0].id];
    sim.add_host(&repos, &[]);
    let second = sim.add_host(&repos, &[]);
    sim.host_mut(second).sabotage = sabotage;
    up(&mut sim);
    sim
}

/// Everybody starts, and meets.
fn up(sim: &mut Sim) {
    sim.start_all();
    sim.run_ms(1_000).expect("no law is broken");
}

/// The authors bring everything to one node, which tells the other.
fn bring(sim: &mut Sim, at: usize) -> Result<(), Broken> {
    sim.bring_documents(at, 0);
    sim.run_ms(500)?;
    let keys: Vec<_> = sim.world.repos[0].logs().map(|log| log.key()).collect();
    for key in keys {
        sim.bring(at, 0, &key);
        sim.run_ms(500)?;
    }
    sim.run_minutes(2)
}

/// Whether it was this law that broke.
fn breaks(law: &str, ran: Result<(), Broken>) {
    match ran {
        Err(broken) => assert_eq!(broken.law, law, "{broken}"),
        Ok(()) => panic!("`{law}` holds whatever happens"),
    }
}

#[test]
fn without_sabotage_every_law_holds() {
    let mut sim = pair(None);
    let released = sim.world.repos[0].publish(0, "1.0.0", 0);
    bring(&mut sim, 1).expect("no law is broken");
    sim.finish().expect("no law is broken");
    is_listed(sim.host(0), &released).expect("the other node told it");
}

#[test]
fn of_a_key_that_signed_two_logs_nothing_is_listed_once_they_meet() {
    let mut sim = pair(None);
    bring(&mut sim, 0).expect("no law is broken");
    sim.cut(&[0], &[1]);
    sim.world.repos[0].fork(0);
    let good = sim.world.repos[0].publish(0, "1.0.0", 0);
    let bad = sim.world.repos[0].publish_on_branch(0, "6.6.6");
    let key = sim.world.repos[0].publishers[0].log().key();
    sim.bring(0, 0, &key);
    sim.bring_branch(1, 0, 0);
    sim.run_ms(5_000).expect("no law is broken");
    let law = "what a forked key said is not listed";
    for (at, released) in [(0, &good), (1, &bad)] {
        is_listed(sim.host(at), released).expect("nobody knows of the other branch");
        breaks(law, is_not_listed(sim.host(at), released));
    }
    sim.finish().expect("no law is broken");
    for (at, released) in [(0, &good), (1, &bad)] {
        is_not_listed(sim.host(at), released).expect("they have met");
        breaks(
            "what was published is listed",
            is_listed(sim.host(at), released),
        );
    }
}

#[test]
fn nothing_unverified_is_readable() {
    let mut sim = pair(Some(Sabotage::StoresEarly));
    bring(&mut sim, 0).expect("no law is broken yet");
    let file = offer(&mut sim, 0);
    let repo = sim.world.repos[0].id;
    sim.want(1, repo, vec![file]);
    breaks("nothing unverified is readable", sim.run_ms(5_000));
}

#[test]
fn what_was_acknowledged_is_not_lost() {
    let mut sim = pair(Some(Sabotage::ForgetsRoots));
    sim.bring_documents(1, 0);
    breaks("what was acknowledged is not lost", sim.run_ms(1_000));
}

#[test]
fn what_is_told_is_durable() {
    let mut sim = pair(Some(Sabotage::SendsFirst));
    sim.bring_documents(0, 0);
    sim.run_minutes(2).expect("no law is broken yet");
    breaks("what is told is durable", bring(&mut sim, 1));
}

#[test]
fn what_is_listed_follows_from_what_is_durable() {
    let mut sim = pair(Some(Sabotage::ForgetsLogs));
    sim.world.repos[0].publish(0, "1.0.0", 0);
    let ran = bring(&mut sim, 0);
    breaks("what is listed follows from what is durable", ran);
}

#[test]
fn a_restart_changes_nothing() {
    let mut sim = Sim::new(1, false);
    sim.world.found("repo", 0);
    let repos = [sim.world.repos[0].id];
    sim.add_host(&repos, &[]);
    let second = sim.add_host(&repos, &[]);
    sim.host_mut(second).sabotage = Some(Sabotage::ForgetsRoots);
    up(&mut sim);
    sim.bring_documents(0, 0);
    sim.run_minutes(2).expect("no law is broken yet");
    let ran = skep_testnet::invariant::restart::a_restart_changes_nothing(sim.host(1));
    breaks("a restart changes nothing", ran);
}

#[test]
fn views_agree_once_the_network_is_whole() {
    let mut sim = pair(None);
    sim.cut(&[0], &[1]);
    bring(&mut sim, 0).expect("no law is broken");
    let law = "views agree once the network is whole";
    breaks(law, sim.check_agreement());
    sim.net.heal();
    sim.run_minutes(3).expect("no law is broken");
    sim.check_agreement().expect("they met");
}

#[test]
fn honest_nodes_never_accuse_honest_nodes() {
    let mut sim = pair(None);
    let repos = [sim.world.repos[0].id];
    let liar = sim.add_host(&repos, &[Lie::Gossip, Lie::Bytes]);
    let id = sim.host(liar).id;
    sim.world.honest.insert(id);
    up(&mut sim);
    let ran = bring(&mut sim, liar);
    breaks("honest nodes never accuse honest nodes", ran);
}

#[test]
fn what_is_committed_was_said() {
    let mut sim = pair(None);
    sim.bring_documents(0, 0);
    sim.run_ms(500).expect("no law is broken yet");
    let key = sim.world.repos[0].registrar.key();
    sim.bring(0, 0, &key);
    // As if somebody else had signed it.
    sim.world.repos[0].registrar.entries.clear();
    breaks("what is committed was said", sim.run_ms(500));
}

#[test]
fn only_forkers_are_convicted() {
    let mut sim = pair(None);
    bring(&mut sim, 0).expect("no law is broken yet");
    sim.cut(&[0], &[1]);
    sim.world.repos[0].fork(0);
    sim.world.repos[0].publish(0, "1.0.0", 0);
    sim.world.repos[0].publish_on_branch(0, "6.6.6");
    let key = sim.world.repos[0].publishers[0].log().key();
    sim.bring(0, 0, &key);
    sim.bring_branch(1, 0, 0);
    sim.run_ms(5_000).expect("no law is broken yet");
    // As if the key had signed one log only.
    sim.world.repos[0].publishers[0].branch = None;
    sim.net.heal();
    breaks("only forkers are convicted", sim.run_minutes(3));
}

#[test]
fn a_change_fits_what_is_held() {
    let mut sim = pair(None);
    bring(&mut sim, 0).expect("no law is broken yet");
    let (repo, key) = {
        let repo = &sim.world.repos[0];
        (repo.id, repo.registrar.key())
    };
    // Behind the back of the core, the disk loses what it promised.
    let rewind = Change::Rewind { repo, key, to: 1 };
    let disk = &sim.host(0).disk;
    disk.store.persist(&rewind).expect("it is followed");
    sim.world.repos[0].admit();
    let log = &sim.world.repos[0].registrar;
    let append = log.append(log.tip.size() - 2).expect("signed");
    sim.command(0, append);
    breaks("a change fits what is held", sim.run_ms(500));
}

#[test]
fn every_queue_is_bounded() {
    let queue = |len| Queue {
        name: "a queue",
        len,
        limit: 3,
    };
    bounded::queues_stay_within_their_limits(&[queue(3)]).expect("at the limit");
    let ran = bounded::queues_stay_within_their_limits(&[queue(3), queue(4)]);
    breaks("every queue is bounded", ran);
}

#[test]
fn what_is_sent_can_be_read() {
    let answer = |entries: Vec<Vec<u8>>| Message::Answer {
        id: 1,
        answer: Answer::Get {
            entries,
            proof: Vec::new(),
        },
    };
    wire::what_is_sent_can_be_read(&answer(vec![vec![1; 60_000]])).expect("it fits");
    let law = "what is sent can be read";
    let long = vec![vec![1; 60_000]; FRAME_BYTES_MAX / 60_000 + 1];
    breaks(law, wire::what_is_sent_can_be_read(&answer(long)));
    let many = usize::try_from(ENTRIES_MAX).expect("small") + 1;
    let many = vec![vec![1]; many];
    breaks(law, wire::what_is_sent_can_be_read(&answer(many)));
}

#[test]
fn a_liar_is_found_out_whatever_it_lies_about() {
    // What costs a session at most: silence may be a slow disk.
    let forgivable = [Lie::Silence];
    for lie in Lie::ALL {
        let found_out = (0..8).filter(|seed| is_found_out(lie, *seed)).count();
        let expected = !forgivable.contains(&lie);
        assert_eq!(found_out > 0, expected, "{lie:?}: {found_out} of 8");
    }
}

/// Whether a node that learns everything from a liar bans it.
fn is_found_out(lie: Lie, seed: u64) -> bool {
    let mut sim = Sim::new(seed, false);
    sim.world.found("repo", 2);
    let repos = [sim.world.repos[0].id];
    sim.add_host(&repos, &[]);
    let liar = sim.add_host(&repos, &[lie]);
    up(&mut sim);
    sim.world.repos[0].publish(0, "1.0.0", 0);
    // Both have the root document, and so the topic of gossip.
    sim.bring_documents(liar, 0);
    sim.run_minutes(2).expect("no law is broken");
    bring(&mut sim, liar).expect("no law is broken");
    let file = offer(&mut sim, liar);
    sim.want(0, repos[0], vec![file]);
    sim.run_minutes(3).expect("no law is broken");
    let id = sim.host(liar).id;
    sim.host(0).has_banned(&id)
}

/// A node gets a file of several groups, and offers it.
fn offer(sim: &mut Sim, at: usize) -> (Blake3, u64) {
    let len = usize::try_from(2 * GROUP_BYTES).expect("small");
    let file = sim.host_mut(at).disk.import(&vec![7; len]);
    let hold = Command::Hold {
        repo: sim.world.repos[0].id,
        manifest: Sha256::of(&[b"a release"]),
        holding: Holding {
            why: HoldingReason::Published,
            blobs: vec![file],
        },
    };
    sim.command(at, hold);
    file
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let traced = |seed| {
        let plan = Plan::of(&mut skep_testnet::dice::Dice::new(seed));
        let ran = skep_testnet::run::traced(&plan, seed);
        ran.expect("no law is broken").hash.expect("it was traced")
    };
    for seed in [3, 15, 23] {
        assert_eq!(traced(seed), traced(seed));
    }
    assert_ne!(traced(3), traced(15));
}
