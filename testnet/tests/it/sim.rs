//! Runs of the simulator: fixed seeds, fresh ones, and the laws on purpose broken.

use skep_testnet::run;

/// One seed, named by `SKEP_SEED`: how a failure is repeated.
#[test]
fn one_seed() {
    let Ok(seed) = std::env::var("SKEP_SEED") else {
        return;
    };
    let seed = seed.parse().expect("SKEP_SEED is a number");
    match run::seed(seed) {
        Ok(ran) => println!("seed {seed}: {} steps", ran.steps),
        Err(failure) => panic!("{failure}"),
    }
}

fn seeds(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failure) = run::seed(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn seeds_from_0() {
    seeds(0..50);
}
