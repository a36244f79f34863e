//! Many groups on one disk: each finds all that it needs, whenever the process dies.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::many::Config;
use cluster::sim::Sim;
use cluster::{Cluster, Fault, Node as _, Rng};

use crate::many::{Groups, config, options, scribe, to};
use crate::scribe::{Answer, Ask, Note, members, n};

const GROUPS: u32 = 4;
/// What is in a group's values: the first says which group it is.
const STRIDE: u64 = 1_000_000;
/// Before a sync ends, as a rule.
const SOON: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_micros(500);

/// What a group must find.
#[derive(Default)]
struct Model {
    /// The last value that it was given.
    last: u64,
    /// What was acknowledged, ascending.
    acknowledged: Vec<u64>,
    /// The values given since the boot, in order; all were acknowledged, but perhaps the last.
    since_boot: Vec<u64>,
    /// All before this was let go, or is about to be.
    needed_from: u64,
}

impl Model {
    /// Whether `found` is what it may find.
    fn judge(&self, group: u32, found: &[u64]) -> Result<(), String> {
        let bad = |what: &str| Err(format!("g{group} {what}: {found:?}"));
        if found.iter().any(|value| value / STRIDE != u64::from(group)) {
            return bad("finds what is another's");
        }
        if !found.is_sorted_by(|a, b| a < b) {
            return bad("finds records out of order, or twice");
        }
        let first = found.first().copied().unwrap_or(u64::MAX).min(self.needed_from);
        let mut must = self.acknowledged.iter().filter(|&&value| value >= first);
        match must.find(|&value| !found.contains(value)) {
            Some(lost) => bad(&format!("does not find {lost}")),
            None => Ok(()),
        }
    }
}

/// When the process of n1 dies.
#[derive(Clone, Copy, Debug)]
enum Crash {
    /// Now and then.
    Often,
    /// Once, after so many effects.
    After(u32),
}

/// Groups on n1 write and let go; those on n2 hear of what is durable.
struct Run {
    sim: Sim<Groups>,
    rng: Rng,
    models: BTreeMap<u32, Model>,
    crash: Crash,
}

impl Run {
    fn new(seed: u64, config: Config<crate::scribe::Config>, crash: Crash) -> Self {
        let mut sim = Sim::new(config, members(2), options(seed)).expect("valid");
        if let Crash::After(effects) = crash {
            sim.inject(&Fault::CrashAfter { node: n(1), effects }).expect("taken");
        }
        let models = (1..=GROUPS).map(|group| (group, Model::default())).collect();
        Self { sim, rng: Rng::from_seed(seed), models, crash }
    }

    /// Whether the process died, or what broke.
    fn play(mut self, rounds: u32) -> Result<bool, String> {
        let mut died = false;
        for _ in 0..rounds {
            if matches!(self.crash, Crash::Often) && self.rng.chance(150_000) {
                let effects = self.rng.below(40) as u32;
                self.sim.inject(&Fault::CrashAfter { node: n(1), effects }).expect("taken");
            }
            let strikes = matches!(self.crash, Crash::Often) && self.rng.chance(100_000);
            self.round(strikes);
            self.hear()?;
            if self.sim.node(n(1)).is_none() {
                died = true;
                self.reboot()?;
            }
        }
        self.reboot()?;
        Ok(died)
    }

    /// Each group is asked one thing at most. The first is idle most of the time: what it needs gets
    /// old. If the power `strikes`, it may do so before what they write is durable.
    fn round(&mut self, strikes: bool) {
        let mut asked = BTreeMap::new();
        for (&group, model) in &mut self.models {
            let ask = match self.rng.below(if group == 1 { 60 } else { 6 }) {
                0..3 => {
                    model.last = (model.last + 1).max(u64::from(group) * STRIDE);
                    model.since_boot.push(model.last);
                    Ask::Append(model.last)
                }
                3 => {
                    // A record that is known to be durable.
                    let Some(&value) = model.acknowledged.last() else { continue };
                    let place = model.since_boot.iter().position(|it| *it == value);
                    let Some(place) = place else { continue };
                    model.needed_from = value;
                    Ask::Forget(place as u64 + 1)
                }
                _ => continue,
            };
            let appended = match ask {
                Ask::Append(value) => Some(value),
                _ => None,
            };
            asked.insert(self.sim.submit(n(1), to(group, ask)), (group, appended));
        }
        let mut strike = strikes.then(|| self.sim.now() + self.rng.span(SOON));
        let until = self.sim.now() + Duration::from_secs(1);
        while !asked.is_empty() {
            if strike.is_some_and(|at| at <= self.sim.now()) {
                strike = None;
                self.sim.inject(&Fault::PowerLoss).expect("taken");
            }
            let Some(completion) = self.sim.poll(strike.unwrap_or(until)) else {
                assert!(self.sim.now() < until, "each request ends");
                continue;
            };
            let Some((group, appended)) = asked.remove(&completion.request) else { continue };
            if let (Some(value), Ok(Ok(Answer::Done))) = (appended, completion.outcome) {
                let model = self.models.get_mut(&group).expect("a group");
                model.acknowledged.push(value);
            }
        }
    }

    /// What n2 has heard to be durable counts as acknowledged.
    fn hear(&mut self) -> Result<(), String> {
        let until = self.sim.now() + Duration::from_millis(5);
        while self.sim.poll(until).is_some() {}
        for (&group, model) in &mut self.models {
            if self.sim.node(n(2)).is_none() {
                break; // the power was lost
            }
            for (_, note) in &scribe(&self.sim, 2, group).heard {
                let (Note::Soon(value) | Note::Safe(value) | Note::Numbered(value)) = *note;
                if value / STRIDE != u64::from(group) {
                    return Err(format!("g{group} hears of {value}"));
                }
                if matches!(note, Note::Safe(_)) && !model.acknowledged.contains(&value) {
                    model.acknowledged.push(value);
                    model.acknowledged.sort_unstable();
                }
            }
        }
        Ok(())
    }

    /// The power is lost, and comes back.
    fn reboot(&mut self) -> Result<(), String> {
        self.sim.inject(&Fault::PowerLoss).expect("taken");
        for node in [n(1), n(2)] {
            self.sim.inject(&Fault::Restart { node }).expect("taken");
        }
        if let Some(refusal) = self.sim.refusal(n(1)) {
            return Err(refusal.to_string());
        }
        for (&group, model) in &mut self.models {
            model.since_boot.clear();
            model.judge(group, &scribe(&self.sim, 1, group).written)?;
        }
        Ok(())
    }
}

#[test]
fn each_group_finds_what_it_needs_after_any_crash() {
    let mut died = 0;
    for seed in 0..200 {
        match Run::new(seed, config(GROUPS).with_spare(3), Crash::Often).play(60) {
            Ok(dead) => died += u32::from(dead),
            Err(what) => panic!("seed {seed}: {what}"),
        }
    }
    assert!(died > 150, "{died} of 200 died");
}

/// After each effect of a run in which groups write, let go and are copied.
#[test]
fn the_power_fails_after_every_effect() {
    for effects in 0.. {
        let run = Run::new(7, config(GROUPS).with_spare(0), Crash::After(effects));
        match run.play(40) {
            Ok(true) => {}
            Ok(false) => {
                assert!(effects > 200, "only {effects} effects");
                return;
            }
            Err(what) => panic!("after {effects} effects: {what}"),
        }
    }
}

/// A group that holds on to its only record does not make the disk grow; nor does a restart lose it.
#[test]
fn an_idle_group_does_not_hold_on_to_what_the_others_wrote() {
    let spare = 50;
    let mut sim =
        Sim::<Groups>::new(config(3).with_spare(spare), members(1), options(1)).expect("valid");
    let ask = |sim: &mut Sim<Groups>, group, ask| {
        let id = sim.submit(n(1), to(group, ask));
        let until = sim.now() + Duration::from_secs(1);
        let completion = sim.poll(until).expect("an answer");
        assert_eq!((completion.request, completion.outcome), (id, Ok(Ok(Answer::Done))));
    };
    ask(&mut sim, 1, Ask::Append(11));
    ask(&mut sim, 2, Ask::Append(21));
    ask(&mut sim, 2, Ask::Append(22));
    let mut longest = 0;
    for life in 0..3 {
        for value in 1..=500 {
            ask(&mut sim, 3, Ask::Append(value));
            if value % 10 == 0 {
                ask(&mut sim, 3, Ask::Forget(value));
            }
            let until = sim.now() + Duration::from_millis(2);
            while sim.poll(until).is_some() {}
            longest = longest.max(sim.durable(n(1)).len());
        }
        let gauges = sim.node(n(1)).expect("up").gauges();
        let gauge = |name| gauges.iter().find(|it| it.0 == name).expect("it is there").1;
        assert!((3..80).contains(&gauge("records copied")), "life {life}: {gauges:?}");
        assert_eq!(gauge("records needed"), 4);
        sim.inject(&Fault::PowerLoss).expect("taken");
        sim.inject(&Fault::Restart { node: n(1) }).expect("taken");
        assert_eq!(scribe(&sim, 1, 1).written, [11]);
        assert_eq!(scribe(&sim, 1, 2).written, [21, 22]);
    }
    // Thirteen at most are needed at one time.
    assert!(longest <= 2 * 13 + spare as usize + 13, "{longest} records");
}

#[cfg(feature = "mutants")]
#[test]
fn mutants_of_sharing_are_seen() {
    use cluster::many::Mutant;

    for mutant in Mutant::ALL {
        let broken = |seed| {
            let config = config(GROUPS).with_spare(3).plant(mutant);
            let run = Run::new(seed, config, Crash::Often);
            // The scribe itself refuses counts that cannot be its own.
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.play(60)));
            played.unwrap_or_else(|_| Err("a group was told what cannot be".to_owned())).err()
        };
        let caught: Vec<_> = (0..50).filter_map(broken).collect();
        println!("{mutant:?}: {} of 50 seeds, such as: {:?}", caught.len(), caught.first());
        assert!(!caught.is_empty(), "{mutant:?} was not seen");
    }
}
