//! Each bug of the world breaks what the world promises, and is seen to.

use std::time::Duration;

use cluster::sim::{Mutant, Options, Sim};
use cluster::{Cluster, Damage, DiskFault, Fault, Rng};

use crate::scribe::{Ask, Config, Note, Scribe, configured, n};

/// One run of power losses, torn writes and rot.
struct Run {
    sim: Sim<Scribe>,
    rng: Rng,
    /// What n1 told anybody to be durable.
    acknowledged: Vec<u64>,
    rotten: bool,
}

impl Run {
    fn new(options: Options) -> Self {
        let client_latency = Duration::ZERO..=Duration::from_micros(1);
        let rng = Rng::from_seed(options.seed);
        let options = Options { client_latency, ..options };
        let mut sim = configured(2, Config::default(), options);
        let torn = DiskFault { torn: true, ..DiskFault::default() };
        sim.inject(&Fault::Disk { node: n(1), disk: torn }).expect("taken");
        Self { sim, rng, acknowledged: Vec::new(), rotten: false }
    }

    /// What breaks, if anything does.
    fn play(mut self) -> Option<String> {
        for value in 0..60 {
            for value in [2 * value, 2 * value + 1] {
                self.sim.submit(n(1), Ask::Append(value));
            }
            let until = self.sim.now() + self.rng.span(Duration::ZERO..=Duration::from_millis(1));
            while self.sim.poll(until).is_some() {}
            self.acknowledged.extend(self.sim.node(n(2))?.heard.iter().filter_map(
                |it| match it.1 {
                    Note::Safe(value) => Some(value),
                    Note::Soon(_) | Note::Numbered(_) => None,
                },
            ));
            if self.rng.chance(100_000) {
                if let Some(what) = self.reboot() {
                    return Some(what);
                }
                if self.rotten {
                    return None;
                }
            }
        }
        None
    }

    fn reboot(&mut self) -> Option<String> {
        let before = self.sim.node(n(1))?.written.clone();
        if self.rng.chance(200_000) && self.sim.durable(n(1)).len() > 2 {
            self.rotten = true;
            let rot = Fault::Rot { node: n(1), at_ppm: 0, damage: Damage::Lost };
            self.sim.inject(&rot).expect("taken");
        }
        self.sim.inject(&Fault::PowerLoss).expect("taken");
        for node in [n(1), n(2)] {
            self.sim.inject(&Fault::Restart { node }).expect("taken");
        }
        let Some(node) = self.sim.node(n(1)) else {
            let why = self.sim.refusal(n(1));
            return (!self.rotten).then(|| format!("refused without cause: {why:?}"));
        };
        if !before.starts_with(&node.written) {
            return Some(format!("{:?} is no first part of {before:?}", node.written));
        }
        let lost = self.acknowledged.iter().find(|value| !node.written.contains(value))?;
        Some(format!("{lost} was acknowledged, and is lost"))
    }
}

#[test]
fn every_bug_of_the_world_is_seen() {
    for mutant in Mutant::ALL {
        let broken = |seed| Run::new(Options::seeded(seed).plant(mutant)).play();
        let caught: Vec<_> = (0..200).filter_map(broken).collect();
        println!("{mutant:?}: {} of 200 seeds, such as: {:?}", caught.len(), caught.first());
        assert!(!caught.is_empty(), "{mutant:?} was not seen");
    }
}

#[test]
fn a_sound_world_breaks_nothing() {
    for seed in 0..500 {
        assert_eq!(Run::new(Options::seeded(seed)).play(), None, "seed {seed}");
    }
}
