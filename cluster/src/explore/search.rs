//! Breadth first through whatever can be stepped: one level after another, on all cores.
//!
//! Only fingerprints of visited states are kept, with the way each was first reached; the states
//! themselves live as long as their level. A counterexample is replayed from the start, and since
//! levels are searched in order it is a shortest one. The result does not depend on how many
//! threads work: they find successors in blocks, and the blocks are merged in order by one.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Rng;

/// Something whose every state can be stepped to: states, and the choices that lead on from each.
///
/// **Two states with equal fingerprints must behave alike for ever**: the same fingerprints follow
/// from both, and the same steps are found broken. [`Limits::audit`] tries to show that they do not.
pub trait Space: Sync {
    /// A state. Cheap to clone.
    type State: Clone + Send + Sync;
    /// One way on from a state.
    type Choice;

    /// Where everything begins.
    ///
    /// # Errors
    /// When it is broken from the start.
    fn start(&self) -> Result<Self::State, Broken>;

    /// All ways on from `state`, in an order that the state decides. None at an end.
    fn choices(&self, state: &Self::State) -> Vec<Self::Choice>;

    /// The state that `choice`, one of its [`choices`](Space::choices), leads to from `state`.
    ///
    /// # Errors
    /// When a property is broken there.
    fn take(&self, state: &Self::State, choice: &Self::Choice) -> Result<Self::State, Broken>;

    /// What stands for `state`. Well mixed: a collision loses states in silence.
    fn fingerprint(&self, state: &Self::State) -> u128;

    /// Looks at a state that nothing leads on from.
    ///
    /// # Errors
    /// When a property that must hold in the end does not.
    fn end(&self, _state: &Self::State) -> Result<(), Broken> {
        Ok(())
    }

    /// What happens if `choice` is taken from `state`, for people.
    fn describe(&self, state: &Self::State, choice: &Self::Choice) -> String;
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{guarantee}: {what}")]
pub struct Broken {
    /// Which property.
    pub guarantee: &'static str,
    /// What contradicts it.
    pub what: String,
}

/// How far a search goes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Stops after so many distinct states (or a block of states later).
    pub states: usize,
    /// Stops after so many steps from the start.
    pub depth: u32,
    /// How many threads work; zero for as many as the machine has cores.
    pub workers: usize,
    /// Whether, and how hard, to look for states with equal fingerprints that behave differently.
    pub audit: Option<Audit>,
}

impl Default for Limits {
    /// Ten million states, any depth, all cores, no audit.
    fn default() -> Self {
        Self { states: 10_000_000, depth: u32::MAX, workers: 0, audit: None }
    }
}

/// How to check that merging states by fingerprint loses none.
///
/// Of a sample of the states, each is kept when it is first reached. When another state with its
/// fingerprint turns up, the two go on side by side at random; the fingerprints of all successors
/// of the one must be those of the other, step after step.
#[derive(Clone, Debug)]
pub struct Audit {
    /// One in so many fingerprints is sampled.
    pub one_in: u64,
    /// How many pairs are compared at most.
    pub pairs: u64,
    /// How many random steps each comparison goes on for.
    pub steps: u32,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// States with different fingerprints, the first one included.
    pub distinct: u64,
    /// States reached, each as often as a step led to it.
    pub generated: u64,
    /// The most steps from the start to a state, by the shortest way.
    pub depth: u32,
    /// The most states of one depth.
    pub widest: u64,
    /// States that nothing leads on from.
    pub ends: u64,
    /// Pairs of states with equal fingerprints that were compared; see [`Audit`].
    pub audited: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What came of it.
    pub verdict: Verdict,
}

impl Report {
    /// Distinct states a second.
    pub fn rate(&self) -> f64 {
        self.distinct as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The counterexample, if there is one.
    pub fn counterexample(&self) -> Option<&Counterexample> {
        match &self.verdict {
            Verdict::Broken(counterexample) => Some(counterexample),
            Verdict::Exhausted | Verdict::Stopped | Verdict::Unsound(_) => None,
        }
    }
}

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every state within the bounds was reached, and every property holds in all of them.
    Exhausted,
    /// A limit was reached first. Up to there, every property holds.
    Stopped,
    /// A property does not hold, as this shows.
    Broken(Counterexample),
    /// Two states have the same fingerprint and behave differently, as this says: the space's
    /// fingerprints leave out something that matters, and nothing is known.
    Unsound(String),
}

/// A shortest way to a broken property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What is broken.
    pub broken: Broken,
    /// The steps that lead there, in order.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:4}. {step}", number + 1)?;
        }
        write!(f, "  ⇒   {}", self.broken)
    }
}

/// Explores `space` within `limits`.
pub fn search<S: Space>(space: &S, limits: &Limits) -> Report {
    let begun = Instant::now();
    let mut search = Search::new(space, limits);
    let verdict = search.run();
    Report { elapsed: begun.elapsed(), verdict, ..search.report }
}

/// How many states one thread takes at a time, and how many are merged at a time.
const CHUNK: usize = 128;
const BLOCK: usize = 64 * CHUNK;

/// The way a state was first reached.
#[derive(Clone, Copy)]
struct Origin {
    parent: u32,
    choice: u16,
}

struct Search<'a, S: Space> {
    space: &'a S,
    limits: &'a Limits,
    visited: HashSet<u128, BuildHasherDefault<Mixed>>,
    /// By number of the state, in the order of discovery.
    origins: Vec<Origin>,
    samples: HashMap<u128, S::State, BuildHasherDefault<Mixed>>,
    report: Report,
}

/// What one thread found out about some states of a level.
struct Found<T> {
    /// Parent, choice, fingerprint, state: not visited before this block.
    fresh: Vec<(u32, u16, u128, T)>,
    /// States that were visited before, to be audited.
    twins: Vec<(u128, T)>,
    generated: u64,
    ends: u64,
    /// The first broken property: at which state, and after which choice (none: at the end itself).
    broken: Option<(u32, Option<u16>, Broken)>,
}

impl<'a, S: Space> Search<'a, S> {
    fn new(space: &'a S, limits: &'a Limits) -> Self {
        let report = Report {
            distinct: 0,
            generated: 0,
            depth: 0,
            widest: 0,
            ends: 0,
            audited: 0,
            elapsed: Duration::ZERO,
            verdict: Verdict::Exhausted,
        };
        Self {
            space,
            limits,
            visited: HashSet::default(),
            origins: Vec::new(),
            samples: HashMap::default(),
            report,
        }
    }

    fn run(&mut self) -> Verdict {
        let first = match self.space.start() {
            Ok(first) => first,
            Err(broken) => return Verdict::Broken(Counterexample { broken, steps: Vec::new() }),
        };
        self.visited.insert(self.space.fingerprint(&first));
        self.origins.push(Origin { parent: 0, choice: 0 });
        (self.report.distinct, self.report.generated) = (1, 1);
        let mut level = vec![(0, first)];
        loop {
            self.report.widest = self.report.widest.max(level.len() as u64);
            if self.report.depth >= self.limits.depth {
                return Verdict::Stopped;
            }
            let mut next = Vec::new();
            for block in level.chunks(BLOCK) {
                if let Some(verdict) = self.merge(self.expand(block), &mut next) {
                    return verdict;
                }
                if self.visited.len() >= self.limits.states {
                    return Verdict::Stopped;
                }
            }
            if next.is_empty() {
                return Verdict::Exhausted;
            }
            self.report.depth += 1;
            level = next;
        }
    }

    /// Finds what follows from the states of `block`, in their order.
    fn expand(&self, block: &[(u32, S::State)]) -> Vec<Found<S::State>> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = if self.limits.workers == 0 { cores() } else { self.limits.workers };
        let chunks: Vec<&[(u32, S::State)]> = block.chunks(CHUNK).collect();
        if workers == 1 || chunks.len() == 1 {
            return chunks.into_iter().map(|chunk| self.expand_chunk(chunk)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(place) else { return done };
                done.push((place, self.expand_chunk(chunk)));
            }
        };
        let mut done: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let finished = threads.into_iter().map(|thread| thread.join());
            finished.flat_map(|done| done.expect("the property panicked")).collect()
        });
        done.sort_unstable_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, found)| found).collect()
    }

    fn expand_chunk(&self, chunk: &[(u32, S::State)]) -> Found<S::State> {
        let mut found =
            Found { fresh: Vec::new(), twins: Vec::new(), generated: 0, ends: 0, broken: None };
        for (number, state) in chunk {
            let choices = self.space.choices(state);
            if choices.is_empty() {
                found.ends += 1;
                if let Err(broken) = self.space.end(state) {
                    found.broken = Some((*number, None, broken));
                    return found;
                }
            }
            for (place, choice) in choices.iter().enumerate() {
                let place = u16::try_from(place).expect("fewer choices than 65536");
                found.generated += 1;
                let next = match self.space.take(state, choice) {
                    Ok(next) => next,
                    Err(broken) => {
                        found.broken = Some((*number, Some(place), broken));
                        return found;
                    }
                };
                let print = self.space.fingerprint(&next);
                if !self.visited.contains(&print) {
                    found.fresh.push((*number, place, print, next));
                } else if self.is_sampled(print) {
                    found.twins.push((print, next));
                }
            }
        }
        found
    }

    /// Takes over what was found, in order. A verdict, if the search is over.
    fn merge(
        &mut self,
        found: Vec<Found<S::State>>,
        next: &mut Vec<(u32, S::State)>,
    ) -> Option<Verdict> {
        for found in found {
            self.report.generated += found.generated;
            self.report.ends += found.ends;
            for (parent, choice, print, state) in found.fresh {
                let sampled = self.is_sampled(print);
                if self.visited.insert(print) {
                    self.report.distinct += 1;
                    let number = u32::try_from(self.origins.len()).expect("fewer than 2^32 states");
                    self.origins.push(Origin { parent, choice });
                    if sampled {
                        self.samples.insert(print, state.clone());
                    }
                    next.push((number, state));
                } else if sampled && let Err(why) = self.audit(print, state) {
                    return Some(Verdict::Unsound(why));
                }
            }
            for (print, twin) in found.twins {
                if let Err(why) = self.audit(print, twin) {
                    return Some(Verdict::Unsound(why));
                }
            }
            if let Some((number, choice, broken)) = found.broken {
                let steps = self.way_to(number, choice);
                self.report.depth += u32::from(choice.is_some());
                return Some(Verdict::Broken(Counterexample { broken, steps }));
            }
        }
        None
    }

    /// The steps to state `number`, and one more if there is a `last` one.
    fn way_to(&self, number: u32, last: Option<u16>) -> Vec<String> {
        let mut choices: Vec<u16> = last.into_iter().collect();
        let mut at = number;
        while at != 0 {
            let Origin { parent, choice } = self.origins[at as usize];
            choices.push(choice);
            at = parent;
        }
        let mut state = self.space.start().expect("as before");
        let mut steps = Vec::new();
        for place in choices.into_iter().rev() {
            let choice = &self.space.choices(&state)[usize::from(place)];
            steps.push(self.space.describe(&state, choice));
            match self.space.take(&state, choice) {
                Ok(next) => state = next,
                Err(_) => break,
            }
        }
        steps
    }
}

// Auditing.
impl<S: Space> Search<'_, S> {
    fn is_sampled(&self, print: u128) -> bool {
        let Some(audit) = &self.limits.audit else { return false };
        self.report.audited < audit.pairs
            && ((print >> 64) as u64).is_multiple_of(audit.one_in.max(1))
    }

    /// Goes on from two states of the same fingerprint, side by side.
    fn audit(&mut self, print: u128, twin: S::State) -> Result<(), String> {
        let (Some(audit), Some(first)) = (&self.limits.audit, self.samples.get(&print)) else {
            return Ok(());
        };
        if self.report.audited >= audit.pairs {
            return Ok(());
        }
        self.report.audited += 1;
        let mut rng = Rng::from_seed(self.report.audited);
        let mut pair = (first.clone(), twin);
        for step in 0..audit.steps {
            let (ours, theirs) = (self.follow(&pair.0), self.follow(&pair.1));
            let prints = |follow: &[Followed<S::State>]| -> Vec<_> {
                follow.iter().map(|followed| followed.print).collect()
            };
            if let Some(place) = (0..ours.len().max(theirs.len()))
                .find(|&i| prints(&ours).get(i) != prints(&theirs).get(i))
            {
                let tell = |follow: &[Followed<S::State>]| {
                    follow.get(place).map_or("nothing".to_owned(), |it| it.what.clone())
                };
                return Err(format!(
                    "after {step} steps side by side, two states go on differently: {} / {}",
                    tell(&ours),
                    tell(&theirs)
                ));
            }
            let sound = |follow: Vec<Followed<S::State>>| -> Vec<S::State> {
                follow.into_iter().filter_map(|followed| followed.state).collect()
            };
            let (mut ours, mut theirs) = (sound(ours), sound(theirs));
            if ours.is_empty() {
                return Ok(());
            }
            let place = rng.index(ours.len());
            pair = (ours.swap_remove(place), theirs.swap_remove(place));
        }
        Ok(())
    }

    /// All that follows from `state`, by fingerprint.
    fn follow(&self, state: &S::State) -> Vec<Followed<S::State>> {
        let choices = self.space.choices(state);
        let mut follow: Vec<_> = choices
            .iter()
            .map(|choice| {
                let what = self.space.describe(state, choice);
                match self.space.take(state, choice) {
                    Ok(next) => Followed {
                        print: Ok(self.space.fingerprint(&next)),
                        what,
                        state: Some(next),
                    },
                    Err(broken) => Followed { print: Err(broken.guarantee), what, state: None },
                }
            })
            .collect();
        follow.sort_by(|a, b| a.print.cmp(&b.print));
        follow
    }
}

/// One step on, in an audit.
struct Followed<T> {
    print: Result<u128, &'static str>,
    what: String,
    state: Option<T>,
}

/// A hasher for what is well mixed already.
#[derive(Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only for fingerprints");
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}
