//! What a bench found: a figure, what it is compared with, and whether the goal is met.

use std::fmt;

/// Repeated measurements of one thing, in one unit.
#[derive(Debug, Clone)]
pub(super) struct Samples {
    unit: &'static str,
    sorted: Vec<f64>,
}

impl Samples {
    /// Panics if there is none: a bench that measured nothing has no figure.
    pub(super) fn new(unit: &'static str, mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self {
            unit,
            sorted: values,
        }
    }

    /// The smallest value that `percent` of all do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted[rank - 1]
    }

    pub(super) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(super) fn max(&self) -> f64 {
        self.percentile(100)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, median) = (self.unit, Short(self.median()));
        if self.sorted.len() == 1 {
            return write!(f, "{median} {unit}");
        }
        write!(
            f,
            "p50 {median} {unit}   (min {}, p99 {}, max {}; {} times)",
            Short(self.percentile(0)),
            Short(self.percentile(99)),
            Short(self.max()),
            self.sorted.len()
        )
    }
}

/// A number with about three digits that say something.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            large if large >= 100.0 => 0,
            middle if middle >= 10.0 => 1,
            small if small >= 1.0 => 2,
            _ => 3,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

/// What must hold for a figure.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    MedianAtMost(f64),
    P99AtMost(f64),
    /// Each of the samples.
    AllAtMost(f64),
    /// Of the medians: the figure's, divided by the peer's.
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

#[derive(Debug, Clone)]
pub(super) struct Finding {
    what: String,
    figure: Samples,
    peers: Vec<(String, Samples)>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

impl Finding {
    pub(super) fn new(what: impl Into<String>, figure: Samples) -> Self {
        Self {
            what: what.into(),
            figure,
            peers: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What it is compared with; goals of a ratio are held against each.
    pub(super) fn beside(mut self, peer: impl Into<String>, figure: Samples) -> Self {
        self.peers.push((peer.into(), figure));
        self
    }

    pub(super) fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The lines about a goal: one, or one for each peer.
    fn judged(&self, goal: Goal) -> Vec<String> {
        let figure = &self.figure;
        let at_most = |what: &str, found: f64, limit: f64| {
            let text = format!("{what} at most {} {}", Short(limit), figure.unit);
            vec![line(&text, found <= limit)]
        };
        let ratio = |text: &str, holds: &dyn Fn(f64) -> bool| {
            if self.peers.is_empty() {
                return vec![format!("{text}: not compared")];
            }
            let peers = self.peers.iter().map(|(peer, theirs)| {
                let ratio = figure.median() / theirs.median();
                let found = format!("{text}: {} of {peer}", Short(ratio));
                line(&found, holds(ratio))
            });
            peers.collect()
        };
        match goal {
            Goal::MedianAtMost(limit) => at_most("p50", figure.median(), limit),
            Goal::P99AtMost(limit) => at_most("p99", figure.percentile(99), limit),
            Goal::AllAtMost(limit) => at_most("always", figure.max(), limit),
            Goal::RatioAtMost(limit) => {
                ratio(&format!("ratio at most {limit}"), &|found| found <= limit)
            }
            Goal::RatioAtLeast(limit) => {
                ratio(&format!("ratio at least {limit}"), &|found| found >= limit)
            }
        }
    }
}

fn line(text: &str, holds: bool) -> String {
    format!("{text}: {}", if holds { "met" } else { "MISSED" })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "  figure  {}", self.figure)?;
        for (peer, theirs) in &self.peers {
            let ratio = Short(self.figure.median() / theirs.median());
            writeln!(f, "  peer    {theirs}   {peer}   ratio {ratio}")?;
        }
        for goal in &self.goals {
            for judged in self.judged(*goal) {
                writeln!(f, "  goal    {judged}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "  note    {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(values: &[f64]) -> Samples {
        Samples::new("ms", values.to_vec())
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let samples = ms(&hundred);
        let found = [0, 1, 50, 99, 100].map(|percent| samples.percentile(percent));
        assert_eq!(found, [1.0, 1.0, 50.0, 99.0, 100.0]);
        assert_eq!(ms(&[7.0]).percentile(99), 7.0);
        assert_eq!(ms(&[3.0, 1.0]).median(), 1.0);
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_missed_past_it() {
        let judge = |goal, value: f64| {
            let finding = Finding::new("x", ms(&[value])).beside("peer", ms(&[10.0]));
            finding
                .judged(goal)
                .iter()
                .all(|line| line.ends_with("met"))
        };
        for goal in [
            Goal::MedianAtMost(20.0),
            Goal::P99AtMost(20.0),
            Goal::AllAtMost(20.0),
            Goal::RatioAtMost(2.0),
        ] {
            assert!(judge(goal, 20.0), "{goal:?}");
            assert!(!judge(goal, 20.1), "{goal:?}");
        }
        assert!(judge(Goal::RatioAtLeast(0.3), 3.0));
        assert!(!judge(Goal::RatioAtLeast(0.3), 2.9));
    }

    #[test]
    fn a_ratio_without_a_peer_is_no_success() {
        let finding = Finding::new("x", ms(&[1.0])).goal(Goal::RatioAtMost(2.0));
        assert!(finding.to_string().contains("not compared"), "{finding}");
    }
}
