//! Cases as files that people read, write and keep.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use toml::Spanned;

use crate::guarantee::Guarantee;
use crate::implementation::World;
use crate::implementations::{self, RIVALS};

use super::steps::RawStep;
use super::{Case, Timing, WARM_UP};

/// A file that says no case.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct BadCase {
    /// Counted from one.
    pub line: usize,
    /// Counted from one, in characters.
    pub column: usize,
    /// What is wrong there, and what was expected.
    pub problem: String,
}

/// A place in a file, in bytes from its begin.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

impl Place {
    /// Where `value` begins.
    pub(super) fn of<T>(value: &Spanned<T>) -> Self {
        Self(value.span().start)
    }
}

/// A duration as people write it: `350ms`, `1s 200ms`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        humantime_serde::deserialize(deserializer).map(Self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        humantime_serde::serialize(&self.0, serializer)
    }
}

/// A seed. TOML's numbers end where half of the seeds begin; those are written in quotes.
#[derive(Clone, Copy)]
struct Seed(u64);

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl de::Visitor<'_> for Numbers {
            type Value = Seed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {}, in quotes if above {}", u64::MAX, i64::MAX)
            }

            fn visit_i64<E: de::Error>(self, seed: i64) -> Result<Seed, E> {
                let unexpected = de::Unexpected::Signed(seed);
                u64::try_from(seed).map(Seed).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_u64<E: de::Error>(self, seed: u64) -> Result<Seed, E> {
                Ok(Seed(seed))
            }

            fn visit_str<E: de::Error>(self, seed: &str) -> Result<Seed, E> {
                let unexpected = de::Unexpected::Str(seed);
                seed.parse().map(Seed).map_err(|_| E::invalid_value(unexpected, &self))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(seed) => serializer.serialize_i64(seed),
            Err(_) => serializer.serialize_str(&self.0.to_string()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RawCase {
    scenario: String,
    implementation: Option<Spanned<String>>,
    breaks: Option<Guarantee>,
    beyond: Option<String>,
    world: World,
    seed: Seed,
    nodes: Spanned<usize>,
    clients: Spanned<u32>,
    warm_up: Spanned<Span>,
    span: Spanned<Span>,
    core_first: bool,
    operator: bool,
    recovery: bool,
    timing: Option<RawTiming>,
    tells_ends: bool,
    #[serde(rename = "step")]
    steps: Vec<Spanned<RawStep>>,
}

impl Default for RawCase {
    fn default() -> Self {
        Self {
            scenario: "from-a-file".to_owned(),
            implementation: None,
            breaks: None,
            beyond: None,
            world: World::Sim,
            seed: Seed(1),
            nodes: Spanned::new(0..0, 5),
            clients: Spanned::new(0..0, 4),
            warm_up: Spanned::new(0..0, Span(WARM_UP)),
            span: Spanned::new(0..0, Span(Duration::from_secs(6))),
            core_first: false,
            operator: false,
            recovery: true,
            timing: None,
            tells_ends: false,
            steps: Vec::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawTiming {
    latency: Option<Spanned<[Span; 2]>>,
    client_latency: Option<Spanned<[Span; 2]>>,
    sync: Option<Spanned<[Span; 2]>>,
}

/// The most nodes and clients that a file may ask for.
const MANY: usize = 64;
/// The most steps that a file may have.
const STEPS_MAX: usize = 10_000;
/// The longest that faults may last.
const LONG: Duration = Duration::from_secs(3_600);

impl Case {
    /// The case that a TOML file describes.
    ///
    /// Every field may be left out; here each stands with what it is then, or with an example:
    ///
    /// ```
    /// # let text = r#"
    /// scenario = "my-own"             # any name
    /// implementation = "raft"         # left out: whichever is chosen on the command line
    /// breaks = "linearizability"      # what the run is expected to break; left out: nothing
    /// beyond = "two of three forget"  # why nobody claims to survive it; left out: claims are judged
    /// world = "sim"                   # or "threads", "net"
    /// seed = 1
    /// nodes = 5
    /// clients = 4
    /// warm-up = "800ms"               # clients work, nothing fails
    /// span = "6s"                     # how long faults last
    /// core-first = false              # repair just enough nodes first, which must then serve
    /// operator = false                # somebody changes who votes, all through
    /// recovery = true                 # repair everything in the end; it must serve and agree again
    ///
    /// [timing]                        # the simulated world: from low to high
    /// latency = ["100us", "1ms"]      # node to node
    /// client-latency = ["50us", "500us"]
    /// sync = ["50us", "500us"]        # a write becomes durable
    ///
    /// [[step]]                        # as many as wanted; `at` counts from the end of the warm-up
    /// at = "1s"
    /// do = "crash"                    # pause, wipe, ... : see below
    /// node = "leader"                 # or 3, "any" (`count = 2`: two), "followers", "all"
    ///
    /// [[step]]
    /// at = "1s 500ms"
    /// do = "restart"
    /// # "#;
    /// # let case = harness::case::Case::from_toml(text)?;
    /// # assert_eq!(case.steps.len(), 2);
    /// # Ok::<(), harness::case::BadCase>(())
    /// ```
    ///
    /// | `do` | further fields |
    /// |---|---|
    /// | `crash`, `pause`, `wipe`; `retire` (SIGTERM, among processes) | `node` (`"any"`) |
    /// | `restart`, `resume` | `node` (`"all"`) |
    /// | `crash-after` | `node`, `effects`: how many writes, messages and answers later |
    /// | `power-loss`, `heal`, `heal-core` | |
    /// | `isolate-leader` | `with`: how many others stay with it (0) |
    /// | `isolate-followers` | `count` (1) |
    /// | `halves`, `ring`, `bridge`, `chain`, `blind-pair` | |
    /// | `deafen-leader`, `mute-leader` | |
    /// | `partition` | `groups`, such as `[[1, 2], [3, 4, 5]]` |
    /// | `cut` | `from`, `to`: lists of nodes |
    /// | `links` | `loss-ppm`, `duplicate-ppm`, `delay-ppm`, `delay-max`; none: sound again |
    /// | `clock` | `node`, `drift-ppm`, `jump-ms` |
    /// | `skew-clocks` | `drift-ppm-max`, `jump-max` |
    /// | `disk` | `node`, `slow`, `stalled`, `full`, `torn`; none: sound again |
    /// | `rot` | `node`, `damage`: `"flip"`, `"misdirected"`, `"lost"`; `at-ppm`: which record |
    /// | `crash-client` | `holding`: it must hold a lock (`false`) |
    /// | `pause-client` | `for`, `holding` |
    ///
    /// # Errors
    /// [`BadCase`] names the line, the field, and what was expected.
    pub fn from_toml(text: &str) -> Result<Self, BadCase> {
        let bad = |(place, problem): (Place, String)| BadCase::at(text, place, problem);
        if text.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#')) {
            let problem = "found nothing, expected a field such as `implementation = \"raft\"` or \
                           `[[step]]`";
            return Err(bad((Place(0), problem.to_owned())));
        }
        let raw: RawCase = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let problem = error.message();
            bad((
                Place(start),
                match field_at(text, start) {
                    Some(field) => format!("`{field}`: {problem}"),
                    None => problem.to_owned(),
                },
            ))
        })?;
        let nodes = within(&raw.nodes, "nodes", 1, MANY).map_err(bad)?;
        let clients = within(&raw.clients, "clients", 1, MANY as u32).map_err(bad)?;
        let span = not_long(&raw.span, "span").map_err(bad)?;
        let warm_up = not_long(&raw.warm_up, "warm-up").map_err(bad)?;
        let implementation = raw.implementation.map(known).transpose().map_err(bad)?;
        if let Some(step) = raw.steps.get(STEPS_MAX) {
            let problem = format!("this is one `[[step]]` more than {STEPS_MAX}, the most allowed");
            return Err(bad((Place::of(step), problem)));
        }
        let mut steps = Vec::new();
        for step in raw.steps {
            let place = Place::of(&step);
            steps.push(step.into_inner().read(nodes, place).map_err(bad)?);
        }
        steps.sort_by_key(|step| step.at);
        Ok(Self {
            implementation,
            scenario: raw.scenario,
            breaks: raw.breaks,
            beyond: raw.beyond,
            world: raw.world,
            seed: raw.seed.0,
            nodes,
            clients,
            warm_up,
            span,
            core_first: raw.core_first,
            operator: raw.operator,
            recovery: raw.recovery,
            timing: raw.timing.map_or(Ok(Timing::default()), RawTiming::read).map_err(bad)?,
            tells_ends: raw.tells_ends,
            steps,
            faults_min: 0,
            served_min: 1,
        })
    }

    /// The file that [`Case::from_toml`] reads as this case. What a run must have shown to count is
    /// not part of it.
    pub fn to_toml(&self) -> String {
        let raw = RawCase {
            scenario: self.scenario.clone(),
            implementation: self.implementation.clone().map(|it| Spanned::new(0..0, it)),
            breaks: self.breaks,
            beyond: self.beyond.clone(),
            world: self.world,
            seed: Seed(self.seed),
            nodes: Spanned::new(0..0, self.nodes),
            clients: Spanned::new(0..0, self.clients),
            warm_up: Spanned::new(0..0, Span(self.warm_up)),
            span: Spanned::new(0..0, Span(self.span)),
            core_first: self.core_first,
            operator: self.operator,
            recovery: self.recovery,
            timing: Some(RawTiming::write(&self.timing)),
            tells_ends: self.tells_ends,
            steps: self.steps.iter().map(|it| Spanned::new(0..0, RawStep::write(it))).collect(),
        };
        toml::to_string(&raw).expect("a case is plain data")
    }
}

impl RawTiming {
    fn read(self) -> Result<Timing, (Place, String)> {
        let usual = Timing::default();
        let range = |field: Option<Spanned<[Span; 2]>>, name, usual| match field {
            None => Ok(usual),
            Some(range) => {
                let [low, high] = *range.get_ref();
                if low.0 > high.0 || high.0 > LONG {
                    let problem = format!("`{name}` must be [low, high], at most 1h");
                    return Err((Place::of(&range), problem));
                }
                Ok(low.0..=high.0)
            }
        };
        Ok(Timing {
            latency: range(self.latency, "latency", usual.latency)?,
            client_latency: range(self.client_latency, "client-latency", usual.client_latency)?,
            sync: range(self.sync, "sync", usual.sync)?,
        })
    }

    fn write(timing: &Timing) -> Self {
        let range = |range: &std::ops::RangeInclusive<Duration>| {
            Some(Spanned::new(0..0, [Span(*range.start()), Span(*range.end())]))
        };
        Self {
            latency: range(&timing.latency),
            client_latency: range(&timing.client_latency),
            sync: range(&timing.sync),
        }
    }
}

impl BadCase {
    fn at(text: &str, Place(start): Place, problem: String) -> Self {
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, problem }
    }
}

/// The field whose value stands at `start`, if one does on that line.
fn field_at(text: &str, start: usize) -> Option<&str> {
    let line = text.get(..start)?.rsplit('\n').next()?;
    line.split_once('=').map(|(field, _)| field.trim())
}

/// The name of an implementation, if there is one of that name.
fn known(name: Spanned<String>) -> Result<String, (Place, String)> {
    let ours = implementations::all().into_iter().map(|implementation| implementation.name);
    let all: Vec<&str> = ours.chain(RIVALS).collect();
    if all.contains(&name.get_ref().as_str()) {
        return Ok(name.into_inner());
    }
    let problem =
        format!("`implementation` is {name:?}, expected one of {all:?}", name = name.get_ref());
    Err((Place::of(&name), problem))
}

pub(super) fn not_long(field: &Spanned<Span>, name: &str) -> Result<Duration, (Place, String)> {
    let Span(span) = *field.get_ref();
    if span <= LONG {
        return Ok(span);
    }
    Err((Place::of(field), format!("`{name}` is longer than 1h, the longest allowed")))
}

pub(super) fn within<T: Copy + PartialOrd + fmt::Display>(
    field: &Spanned<T>,
    name: &str,
    least: T,
    most: T,
) -> Result<T, (Place, String)> {
    let value = *field.get_ref();
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        let problem = format!("`{name}` is {value}, expected {least} to {most}");
        Err((Place::of(field), problem))
    }
}
