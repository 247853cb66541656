//! Runs of the simulator: fixed seeds, fresh ones, and runs that are told what happens.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use skep_testnet::run::{self, Counted};

/// Fresh seeds of one test run, unless `SKEP_SEEDS` says how many: a night's hunt takes thousands.
const FRESH: u64 = 10;

/// One seed, named by `SKEP_SEED`: how a failure is repeated.
#[test]
#[expect(clippy::print_stdout, reason = "for whoever repeats a seed")]
fn one_seed() {
    let Ok(seed) = std::env::var("SKEP_SEED") else {
        return;
    };
    let seed = seed.parse().expect("SKEP_SEED is a number");
    match run::seed(seed) {
        Ok(ran) => println!("seed {seed}: {ran:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

fn seeds(seeds: Range<u64>) -> Counted {
    let mut counted = Counted::default();
    for seed in seeds {
        match run::seed(seed) {
            Ok(ran) => counted = counted.and(ran.counted),
            Err(failure) => panic!("{failure}"),
        }
    }
    counted
}

/// Fifty seeds are enough for everything that can happen to happen.
fn fixed_seeds(range: Range<u64>) {
    let counted = seeds(range);
    assert!(counted.has_everything(), "{counted:?}");
}

#[test]
fn seeds_0_to_49() {
    fixed_seeds(0..50);
}

#[test]
fn seeds_50_to_99() {
    fixed_seeds(50..100);
}

#[test]
fn seeds_100_to_149() {
    fixed_seeds(100..150);
}

#[test]
fn seeds_150_to_199() {
    fixed_seeds(150..200);
}

/// Other seeds each time, so that what the fixed ones miss is found some day.
#[test]
#[expect(clippy::print_stdout, reason = "for whoever repeats a seed")]
fn fresh_seeds() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let first = since.expect("a clock after 1970").as_secs();
    let count = std::env::var("SKEP_SEEDS").map(|n| n.parse().expect("SKEP_SEEDS is a number"));
    let end = first + count.unwrap_or(FRESH);
    println!("seeds {first} to {}", end - 1);
    seeds(first..end);
}
