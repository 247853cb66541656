//! Seeds, run: one that fails is run again with a trace, and the line that repeats it is printed.

use skep_node::core::{Command, Event, Reply, WantEnd};
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
    /// How often what happened.
    pub counted: Counted,
    /// Of everything that happened, if it was traced.
    pub hash: Option<Blake3>,
}

/// How often something happened that a run is about: a law that nothing could break proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Entries that were acknowledged to their authors.
    pub appended: u64,
    /// Logs that advanced at an honest node.
    pub advanced: u64,
    /// Forks that an honest node found.
    pub forks: u64,
    /// Starts of a node after its first.
    pub restarts: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Wants that were met, and that were not.
    pub stored: u64,
    pub not_stored: u64,
    /// Liars that an honest node banned.
    pub banned: u64,
}

impl Counted {
    fn of(sim: &Sim) -> Self {
        let mut counted = Self::default();
        for host in sim.hosts().iter().filter(|host| host.is_honest()) {
            counted.restarts += host.life - 1;
            for event in &host.news {
                match event {
                    Event::LogAdvanced { .. } => counted.advanced += 1,
                    Event::Forked { .. } => counted.forks += 1,
                    Event::ReadOnly { .. } => counted.failed_writes += 1,
                    _ => {}
                }
            }
            for (id, reply) in &host.replies {
                match (host.asked.get(id), reply) {
                    (Some(Command::Append { .. }), Reply::Done) => counted.appended += 1,
                    (_, Reply::Want(WantEnd::Stored)) => counted.stored += 1,
                    (_, Reply::Want(_)) => counted.not_stored += 1,
                    _ => {}
                }
            }
            let liars = sim.hosts().iter().filter(|other| !other.is_honest());
            counted.banned += liars.filter(|liar| host.has_banned(&liar.id)).count() as u64;
        }
        counted
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            appended: self.appended + other.appended,
            advanced: self.advanced + other.advanced,
            forks: self.forks + other.forks,
            restarts: self.restarts + other.restarts,
            failed_writes: self.failed_writes + other.failed_writes,
            stored: self.stored + other.stored,
            not_stored: self.not_stored + other.not_stored,
            banned: self.banned + other.banned,
        }
    }

    /// Whether everything happened at least once.
    pub fn has_everything(&self) -> bool {
        let Self {
            appended,
            advanced,
            forks,
            restarts,
            failed_writes,
            stored,
            not_stored,
            banned,
        } = *self;
        let all = [
            appended,
            advanced,
            forks,
            restarts,
            failed_writes,
            stored,
            not_stored,
            banned,
        ];
        all.iter().all(|count| *count > 0)
    }
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
        counted: Counted::of(&sim),
        hash: sim.trace.hash(),
    });
    (sim, ran)
}
