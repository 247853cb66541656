//! The network: ordered streams that break, gossip that is lost, doubled and reordered, and cuts.
//!
//! A sync session is a stream: what is sent arrives in order or the stream breaks, for each end at
//! its own time, and what was on its way is gone. Gossip promises nothing.

use std::collections::{BTreeMap, BTreeSet};

use skep_node::core::Time;

use crate::dice::Dice;

/// A node's place among all nodes of a run.
pub type Place = usize;

/// How every link of a run behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    pub latency_ms: u64,
    /// Added to the latency, anew for each message, from 0 up to this.
    pub jitter_ms: u64,
    /// How often a frame breaks its stream, in 1,000,000.
    pub breaks_ppm: u64,
    /// How often a gossip message is lost on a link, in 1,000.
    pub gossip_loss: u64,
    /// How often one arrives twice, in 1,000.
    pub gossip_twice: u64,
    /// Whether there is gossip at all.
    pub gossip: bool,
    /// What a link carries of blobs.
    pub bytes_per_ms: u64,
}

impl Weather {
    /// A LAN where nothing goes wrong.
    pub const CALM: Self = Self {
        latency_ms: 2,
        jitter_ms: 1,
        breaks_ppm: 0,
        gossip_loss: 0,
        gossip_twice: 0,
        gossip: true,
        bytes_per_ms: 20_000,
    };
    /// The open internet on a bad day: 20 % of gossip lost, 2 % doubled, and streams that break.
    pub const ROUGH: Self = Self {
        latency_ms: 25,
        jitter_ms: 30,
        breaks_ppm: 4_000,
        gossip_loss: 200,
        gossip_twice: 20,
        gossip: true,
        bytes_per_ms: 4_000,
    };

    pub const fn without_gossip(self) -> Self {
        Self {
            gossip: false,
            ..self
        }
    }

    pub fn delay_ms(&self, dice: &mut Dice) -> u64 {
        1 + self.latency_ms + dice.below(self.jitter_ms + 1)
    }
}

/// One stream between two nodes.
#[derive(Debug)]
pub struct Stream {
    pub ends: [Place; 2],
    /// Whether each end still believes in it.
    pub open: [bool; 2],
    /// When the last frame towards each end arrives: later ones do not overtake it.
    arrives: [Time; 2],
    /// What is on its way is lost.
    pub broken: bool,
}

/// All streams and cuts.
#[derive(Debug)]
pub struct Network {
    pub weather: Weather,
    pub streams: BTreeMap<u64, Stream>,
    next: u64,
    dialling: BTreeSet<(Place, Place)>,
    cut: BTreeSet<(Place, Place)>,
}

impl Network {
    pub fn new(weather: Weather) -> Self {
        Self {
            weather,
            streams: BTreeMap::new(),
            next: 1,
            dialling: BTreeSet::new(),
            cut: BTreeSet::new(),
        }
    }

    /// Whether a dial begins: not over a cut, not twice, not beside a stream that is believed in.
    pub fn dial(&mut self, from: Place, to: Place) -> bool {
        let connected = self.streams_of(from).any(|(_, peer)| peer == to);
        !connected && !self.is_cut(from, to) && self.dialling.insert(pair(from, to))
    }

    /// A dial has come through, unless the link was cut meanwhile.
    pub fn opened(&mut self, ends: [Place; 2], now: Time) -> Option<u64> {
        self.dialling.remove(&pair(ends[0], ends[1]));
        if self.is_cut(ends[0], ends[1]) {
            return None;
        }
        let stream = Stream {
            ends,
            open: [true; 2],
            arrives: [now; 2],
            broken: false,
        };
        let number = self.next;
        self.next += 1;
        self.streams.insert(number, stream);
        Some(number)
    }

    /// Streams that `at` believes in, with the node at the other end.
    pub fn streams_of(&self, at: Place) -> impl Iterator<Item = (u64, Place)> {
        self.streams.iter().filter_map(move |(number, stream)| {
            let end = stream.end_of(at)?;
            stream.open[end].then_some((*number, stream.ends[1 - end]))
        })
    }

    /// Streams between two nodes, believed in by either.
    pub fn between(&self, a: Place, b: Place) -> Vec<u64> {
        let between = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.ends == [a, b] || stream.ends == [b, a]);
        between.map(|(number, _)| *number).collect()
    }

    /// When something that `from` sends now arrives, and where; none if `from` has closed it.
    pub fn send(
        &mut self,
        stream: u64,
        from: Place,
        now: Time,
        dice: &mut Dice,
    ) -> Option<(Place, Time)> {
        let delay = self.weather.delay_ms(dice);
        let stream = self.streams.get_mut(&stream)?;
        let end = stream.end_of(from).filter(|end| stream.open[*end])?;
        let other = 1 - end;
        let at = now.after(delay).max(stream.arrives[other]);
        stream.arrives[other] = at;
        Some((stream.ends[other], at))
    }

    /// Whether a frame that was sent reaches `to`.
    pub fn reaches(&self, stream: u64, to: Place) -> bool {
        let stream = self.streams.get(&stream);
        stream.is_some_and(|stream| {
            let end = stream.end_of(to);
            !stream.broken && end.is_some_and(|end| stream.open[end])
        })
    }

    /// `at` no longer believes in a stream; false if it did not before.
    pub fn close(&mut self, number: u64, at: Place) -> bool {
        let Some(stream) = self.streams.get_mut(&number) else {
            return false;
        };
        let Some(end) = stream.end_of(at) else {
            return false;
        };
        let was = std::mem::replace(&mut stream.open[end], false);
        if stream.open == [false; 2] {
            self.streams.remove(&number);
        }
        was
    }

    pub fn is_cut(&self, a: Place, b: Place) -> bool {
        self.cut.contains(&pair(a, b))
    }

    /// Nothing passes between the two any more.
    pub fn cut(&mut self, a: Place, b: Place) {
        self.cut.insert(pair(a, b));
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }
}

impl Stream {
    pub fn end_of(&self, at: Place) -> Option<usize> {
        self.ends.iter().position(|end| *end == at)
    }
}

fn pair(a: Place, b: Place) -> (Place, Place) {
    (a.min(b), a.max(b))
}
