//! Seeds, run: one that fails is run again with a trace, and the line that repeats it is printed.

use skep_proto::hash::Blake3;

use crate::dice::Dice;
use crate::invariant::Broken;
use crate::scenario::Plan;
use crate::sim::Sim;

/// A run that broke a law, with all that is needed to see it again.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub plan: Plan,
    pub broken: Broken,
    /// What happened last.
    pub trace: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "{:?}", self.plan)?;
        writeln!(f, "{}", self.broken)?;
        write!(
            f,
            "repeat it: SKEP_SEED={} cargo test -p skep-testnet --test it sim::one_seed -- --nocapture",
            self.seed
        )
    }
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub steps: u64,
    /// Of everything that happened, if it was traced.
    pub hash: Option<Blake3>,
}

/// The plan that a seed draws, run with the same seed.
pub fn seed(seed: u64) -> Result<Ran, Box<Failure>> {
    plan(&Plan::of(&mut Dice::new(seed)), seed)
}

/// A plan, run with a seed.
pub fn plan(plan: &Plan, seed: u64) -> Result<Ran, Box<Failure>> {
    if let Ok(ran) = once(plan, seed, false).1 {
        return Ok(ran);
    }
    let (sim, again) = once(plan, seed, true);
    match again {
        Ok(ran) => Ok(ran),
        Err(broken) => Err(Box::new(Failure {
            seed,
            plan: plan.clone(),
            broken,
            trace: sim.trace.lines().map(str::to_owned).collect(),
        })),
    }
}

/// A plan, run and traced.
pub fn traced(plan: &Plan, seed: u64) -> Result<Ran, Broken> {
    once(plan, seed, true).1
}

fn once(plan: &Plan, seed: u64, traced: bool) -> (Sim, Result<Ran, Broken>) {
    let mut sim = Sim::new(seed, traced);
    let ran = plan.run(&mut sim).map(|()| Ran {
        steps: sim.steps(),
        hash: sim.trace.hash(),
    });
    (sim, ran)
}
