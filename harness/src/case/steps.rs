//! Steps as they stand in a file: one flat table each, `do` says what, the other fields say how.

use std::time::Duration;

use cluster::{ClockFault, Damage, DiskFault, LinkFault, NodeId};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::moves::{Move, Split, Step, Whom};

use super::file::{Place, Span, not_long, within};

/// One `[[step]]`. Which fields it needs and takes, `do` decides.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawStep {
    at: Option<Spanned<Span>>,
    r#do: Option<Spanned<String>>,
    node: Option<Spanned<Node>>,
    count: Option<Spanned<usize>>,
    with: Option<Spanned<usize>>,
    effects: Option<Spanned<u32>>,
    groups: Option<Spanned<Vec<Vec<u32>>>>,
    from: Option<Spanned<Vec<u32>>>,
    to: Option<Spanned<Vec<u32>>>,
    loss_ppm: Option<Spanned<u32>>,
    duplicate_ppm: Option<Spanned<u32>>,
    delay_ppm: Option<Spanned<u32>>,
    delay_max: Option<Spanned<Span>>,
    drift_ppm: Option<Spanned<i32>>,
    jump_ms: Option<Spanned<i64>>,
    drift_ppm_max: Option<Spanned<u32>>,
    jump_max: Option<Spanned<Span>>,
    slow: Option<Spanned<Span>>,
    stalled: Option<Spanned<bool>>,
    full: Option<Spanned<bool>>,
    torn: Option<Spanned<bool>>,
    at_ppm: Option<Spanned<u32>>,
    damage: Option<Spanned<Damage>>,
    holding: Option<Spanned<bool>>,
    r#for: Option<Spanned<Span>>,
}

/// `3`, `"leader"`, `"followers"`, `"any"`, or `"all"`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Node {
    Number(u32),
    Name(String),
}

/// The most that a clock may drift, in millionths: the worlds know no more.
const DRIFT_MAX: u32 = 500_000;
/// The furthest that a wall clock may jump, in milliseconds: a century.
const JUMP_MAX: i64 = 100 * 366 * 24 * 3_600 * 1_000;

/// Every `do`, for error messages.
const DEEDS: &str = "crash, crash-after, restart, pause, resume, power-loss, isolate-leader, \
    isolate-followers, halves, ring, bridge, chain, blind-pair, deafen-leader, mute-leader, partition, cut, heal, \
    links, clock, skew-clocks, disk, rot, wipe, retire, heal-core, crash-client, pause-client";

impl RawStep {
    /// The step that it says, for a cluster of `nodes` nodes; `place` is where it stands.
    pub(super) fn read(mut self, nodes: usize, place: Place) -> Result<Step, (Place, String)> {
        let Some(at) = self.at.take() else {
            return Err((place, "a step needs `at`, such as \"500ms\"".to_owned()));
        };
        let at = not_long(&at, "at")?;
        let Some(deed) = self.r#do.take() else {
            return Err((place, format!("a step needs `do`, one of {DEEDS}")));
        };
        let place = Place::of(&deed);
        let what = self.deed(deed.get_ref(), nodes, place)?;
        match self.leftover() {
            Some((name, place)) => Err((place, format!("`{}` takes no `{name}`", deed.get_ref()))),
            None => Ok(Step { at, what }),
        }
    }

    fn deed(&mut self, deed: &str, nodes: usize, place: Place) -> Result<Move, (Place, String)> {
        Ok(match deed {
            "crash" => Move::Crash(self.whom(nodes)?),
            "crash-after" => {
                let effects = required(&mut self.effects, "effects", deed, place)?;
                Move::CrashAfter { whom: self.whom(nodes)?, effects }
            }
            "restart" => Move::Restart(self.whom_or(Whom::All, nodes)?),
            "pause" => Move::Pause(self.whom(nodes)?),
            "resume" => Move::Resume(self.whom_or(Whom::All, nodes)?),
            "power-loss" => Move::PowerLoss,
            "isolate-leader" => {
                Move::Split(Split::LeaderAnd(up_to(&mut self.with, "with", 0, 0, nodes - 1)?))
            }
            "isolate-followers" => {
                Move::Split(Split::Followers(up_to(&mut self.count, "count", 1, 1, nodes)?))
            }
            "halves" => Move::Split(Split::Halves),
            "ring" => Move::Split(Split::Ring),
            "bridge" => Move::Split(Split::Bridge),
            "chain" => Move::Split(Split::Chain),
            "blind-pair" => Move::Split(Split::Pair),
            "deafen-leader" => Move::Split(Split::LeaderDeaf),
            "mute-leader" => Move::Split(Split::LeaderMute),
            "partition" => self.partition(nodes, place)?,
            "cut" => Move::Split(Split::OneWay {
                from: members(self.from.take(), "from", deed, nodes, place)?,
                to: members(self.to.take(), "to", deed, nodes, place)?,
            }),
            "heal" => Move::Heal,
            "links" => self.links()?,
            "clock" => {
                let drift = DRIFT_MAX.cast_signed();
                let drift_ppm = up_to(&mut self.drift_ppm, "drift-ppm", 0, -drift, drift)?;
                let jump_ms = up_to(&mut self.jump_ms, "jump-ms", 0, -JUMP_MAX, JUMP_MAX)?;
                let clock = ClockFault { drift_ppm, jump_nanos: jump_ms * 1_000_000 };
                Move::Clock { whom: self.whom(nodes)?, clock }
            }
            "skew-clocks" => Move::SkewClocks {
                drift_ppm_max: up_to(&mut self.drift_ppm_max, "drift-ppm-max", 0, 0, DRIFT_MAX)?,
                jump_max: short(&mut self.jump_max, "jump-max")?.unwrap_or_default(),
            },
            "disk" => {
                let disk = DiskFault {
                    slow: short(&mut self.slow, "slow")?.unwrap_or_default(),
                    stalled: optional(&mut self.stalled),
                    full: optional(&mut self.full),
                    torn: optional(&mut self.torn),
                };
                Move::Disk { whom: self.whom(nodes)?, disk }
            }
            "rot" => {
                let at_ppm = share(&mut self.at_ppm, "at-ppm")?;
                let damage = required(&mut self.damage, "damage", deed, place)?;
                Move::Rot { whom: self.whom(nodes)?, at_ppm, damage }
            }
            "wipe" => Move::Wipe(self.whom(nodes)?),
            "retire" => Move::Retire(self.whom(nodes)?),
            "heal-core" => Move::HealCore,
            "crash-client" => Move::CrashClient { holding: optional(&mut self.holding) },
            "pause-client" => Move::PauseClient {
                holding: optional(&mut self.holding),
                pause: match short(&mut self.r#for, "for")? {
                    Some(pause) => pause,
                    None => {
                        return Err((place, format!("`{deed}` needs `for`, such as \"200ms\"")));
                    }
                },
            },
            other => return Err((place, format!("unknown `do`: \"{other}\"; one of {DEEDS}"))),
        })
    }

    fn partition(&mut self, nodes: usize, place: Place) -> Result<Move, (Place, String)> {
        let Some(groups) = self.groups.take() else {
            return Err((place, "`partition` needs `groups`, such as [[1, 2], [3]]".to_owned()));
        };
        let at = Place::of(&groups);
        let groups = groups.into_inner();
        if groups.len() < 2 {
            let problem = "`groups` has fewer than two sides, expected such as [[1, 2], [3]]";
            return Err((at, problem.to_owned()));
        }
        let mut seen = Vec::new();
        for &node in groups.iter().flatten() {
            member(node, nodes, at)?;
            if seen.contains(&node) {
                return Err((at, format!("`groups` puts node {node} on two sides")));
            }
            seen.push(node);
        }
        let side = |side: Vec<u32>| side.into_iter().map(NodeId::new).collect();
        Ok(Move::Split(Split::Groups(groups.into_iter().map(side).collect())))
    }

    fn links(&mut self) -> Result<Move, (Place, String)> {
        Ok(Move::Links(LinkFault {
            loss_ppm: share(&mut self.loss_ppm, "loss-ppm")?,
            duplicate_ppm: share(&mut self.duplicate_ppm, "duplicate-ppm")?,
            delay_ppm: share(&mut self.delay_ppm, "delay-ppm")?,
            delay_max: short(&mut self.delay_max, "delay-max")?.unwrap_or_default(),
        }))
    }

    fn whom(&mut self, nodes: usize) -> Result<Whom, (Place, String)> {
        self.whom_or(Whom::Any(1), nodes)
    }

    fn whom_or(&mut self, usual: Whom, nodes: usize) -> Result<Whom, (Place, String)> {
        let Some(node) = self.node.take() else { return Ok(usual) };
        let place = Place::of(&node);
        Ok(match node.into_inner() {
            Node::Number(number) => Whom::Node(member(number, nodes, place)?),
            Node::Name(name) => match name.as_str() {
                "leader" => Whom::Leader,
                "any" => Whom::Any(up_to(&mut self.count, "count", 1, 1, nodes)?),
                "followers" => Whom::Followers,
                "all" => Whom::All,
                other => {
                    let expected = "a node's number, \"leader\", \"followers\", \"any\" or \"all\"";
                    return Err((place, format!("`node` is \"{other}\", expected {expected}")));
                }
            },
        })
    }

    /// A field that nobody has taken.
    fn leftover(&self) -> Option<(&'static str, Place)> {
        macro_rules! first {
            ($($field:ident $name:literal),* $(,)?) => {
                $(if let Some(value) = &self.$field { return Some(($name, Place::of(value))); })*
            };
        }
        first!(
            node "node", count "count", with "with", effects "effects", groups "groups",
            from "from", to "to", loss_ppm "loss-ppm", duplicate_ppm "duplicate-ppm",
            delay_ppm "delay-ppm", delay_max "delay-max", drift_ppm "drift-ppm", jump_ms "jump-ms",
            drift_ppm_max "drift-ppm-max", jump_max "jump-max", slow "slow", stalled "stalled",
            full "full", torn "torn", at_ppm "at-ppm", damage "damage", holding "holding",
            r#for "for",
        );
        None
    }

    /// `step` in a line: when, what, and then as in a file.
    pub(super) fn line(step: &Step) -> String {
        let mut raw = Self::default();
        let what = raw.fill(&step.what);
        let fields = toml::to_string(&raw).expect("a step is plain data");
        let fields: Vec<&str> = fields.lines().collect();
        format!("{:>9.3} s  {what}  {}", step.at.as_secs_f64(), fields.join(", "))
    }

    /// How `step` stands in a file.
    pub(super) fn write(step: &Step) -> Self {
        let mut raw = Self { at: some(Span(step.at)), ..Self::default() };
        raw.r#do = some(raw.fill(&step.what).to_owned());
        raw
    }

    /// Fills in the fields of `what`, and returns its name.
    fn fill(&mut self, what: &Move) -> &'static str {
        match what {
            Move::Crash(whom) => self.aim(*whom, "crash"),
            Move::CrashAfter { whom, effects } => {
                self.effects = some(*effects);
                self.aim(*whom, "crash-after")
            }
            Move::Restart(whom) => self.aim(*whom, "restart"),
            Move::Pause(whom) => self.aim(*whom, "pause"),
            Move::Resume(whom) => self.aim(*whom, "resume"),
            Move::PowerLoss => "power-loss",
            Move::Split(split) => self.fill_split(split),
            Move::Heal => "heal",
            Move::Links(LinkFault { loss_ppm, duplicate_ppm, delay_ppm, delay_max }) => {
                self.loss_ppm = unless_default(*loss_ppm);
                self.duplicate_ppm = unless_default(*duplicate_ppm);
                self.delay_ppm = unless_default(*delay_ppm);
                self.delay_max = unless_default(Span(*delay_max));
                "links"
            }
            Move::Clock { whom, clock: ClockFault { drift_ppm, jump_nanos } } => {
                self.drift_ppm = unless_default(*drift_ppm);
                self.jump_ms = unless_default(jump_nanos / 1_000_000);
                self.aim(*whom, "clock")
            }
            Move::SkewClocks { drift_ppm_max, jump_max } => {
                self.drift_ppm_max = unless_default(*drift_ppm_max);
                self.jump_max = unless_default(Span(*jump_max));
                "skew-clocks"
            }
            Move::Disk { whom, disk: DiskFault { slow, stalled, full, torn } } => {
                self.slow = unless_default(Span(*slow));
                self.stalled = unless_default(*stalled);
                self.full = unless_default(*full);
                self.torn = unless_default(*torn);
                self.aim(*whom, "disk")
            }
            Move::Rot { whom, at_ppm, damage } => {
                self.at_ppm = some(*at_ppm);
                self.damage = some(*damage);
                self.aim(*whom, "rot")
            }
            Move::Wipe(whom) => self.aim(*whom, "wipe"),
            Move::Retire(whom) => self.aim(*whom, "retire"),
            Move::HealCore => "heal-core",
            Move::CrashClient { holding } => {
                self.holding = unless_default(*holding);
                "crash-client"
            }
            Move::PauseClient { holding, pause } => {
                self.holding = unless_default(*holding);
                self.r#for = some(Span(*pause));
                "pause-client"
            }
        }
    }

    fn fill_split(&mut self, split: &Split) -> &'static str {
        let numbers = |nodes: &[NodeId]| nodes.iter().map(|node| node.get()).collect::<Vec<_>>();
        match split {
            Split::LeaderAnd(mates) => {
                self.with = unless_default(*mates);
                "isolate-leader"
            }
            Split::Followers(count) => {
                self.count = some(*count);
                "isolate-followers"
            }
            Split::Halves => "halves",
            Split::Ring => "ring",
            Split::Bridge => "bridge",
            Split::Chain => "chain",
            Split::Pair => "blind-pair",
            Split::LeaderDeaf => "deafen-leader",
            Split::LeaderMute => "mute-leader",
            Split::Groups(groups) => {
                self.groups = some(groups.iter().map(|side| numbers(side)).collect());
                "partition"
            }
            Split::OneWay { from, to } => {
                self.from = some(numbers(from));
                self.to = some(numbers(to));
                "cut"
            }
        }
    }

    fn aim(&mut self, whom: Whom, name: &'static str) -> &'static str {
        let named = |name: &str| some(Node::Name(name.to_owned()));
        self.node = match whom {
            Whom::Leader => named("leader"),
            Whom::Any(count) => {
                self.count = (count != 1).then(|| Spanned::new(0..0, count));
                named("any")
            }
            Whom::Followers => named("followers"),
            Whom::All => named("all"),
            Whom::Node(node) => some(Node::Number(node.get())),
        };
        name
    }
}

fn some<T>(value: T) -> Option<Spanned<T>> {
    Some(Spanned::new(0..0, value))
}

fn unless_default<T: Default + PartialEq>(value: T) -> Option<Spanned<T>> {
    if value == T::default() { None } else { some(value) }
}

fn required<T>(
    field: &mut Option<Spanned<T>>,
    name: &str,
    deed: &str,
    place: Place,
) -> Result<T, (Place, String)> {
    let value = field.take().map(Spanned::into_inner);
    value.ok_or_else(|| (place, format!("`{deed}` needs `{name}`")))
}

fn optional<T: Default>(field: &mut Option<Spanned<T>>) -> T {
    field.take().map(Spanned::into_inner).unwrap_or_default()
}

/// A number from `least` to `most`; `usual` where none is given.
fn up_to<T: Copy + PartialOrd + std::fmt::Display>(
    field: &mut Option<Spanned<T>>,
    name: &str,
    usual: T,
    least: T,
    most: T,
) -> Result<T, (Place, String)> {
    field.take().map_or(Ok(usual), |value| within(&value, name, least, most))
}

/// A duration that is not absurdly long.
fn short(
    field: &mut Option<Spanned<Span>>,
    name: &str,
) -> Result<Option<Duration>, (Place, String)> {
    field.take().map(|value| not_long(&value, name)).transpose()
}

fn share(field: &mut Option<Spanned<u32>>, name: &str) -> Result<u32, (Place, String)> {
    let Some(value) = field.take() else { return Ok(0) };
    match *value.get_ref() {
        ppm @ 0..=1_000_000 => Ok(ppm),
        ppm => {
            let problem = format!("`{name}` is {ppm}, expected 0 to 1000000 (parts in a million)");
            Err((Place::of(&value), problem))
        }
    }
}

fn members(
    field: Option<Spanned<Vec<u32>>>,
    name: &str,
    deed: &str,
    nodes: usize,
    place: Place,
) -> Result<Vec<NodeId>, (Place, String)> {
    let mut field = field;
    let at = field.as_ref().map_or(place, Place::of);
    let numbers = required(&mut field, name, deed, place)?;
    if numbers.is_empty() {
        return Err((at, format!("`{name}` names no node, expected at least one")));
    }
    numbers.into_iter().map(|number| member(number, nodes, at)).collect()
}

fn member(number: u32, nodes: usize, place: Place) -> Result<NodeId, (Place, String)> {
    if (1..=nodes).contains(&(number as usize)) {
        Ok(NodeId::new(number))
    } else {
        Err((place, format!("there is no node {number}, expected 1 to {nodes}")))
    }
}

/// Durations print as they are read.
impl Default for Span {
    fn default() -> Self {
        Self(Duration::ZERO)
    }
}
