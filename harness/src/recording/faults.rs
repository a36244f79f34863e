//! From faults, which last until their opposites, to bands with a begin and an end.

use cluster::sim::{TraceEvent, Traced};
use cluster::{ClockFault, DiskFault, Fault, LinkFault, NodeId, Timestamp};

use super::{Band, Place};

/// The bands of `trace`, in order of begin. What lasts is cut at `end`.
pub(super) fn bands(trace: &[TraceEvent], end: Timestamp) -> Vec<Band> {
    let mut open = Open { bands: Vec::new(), open: Vec::new() };
    let mut cause: Option<(Timestamp, &Fault)> = None;
    for TraceEvent { at, what } in trace {
        match what {
            Traced::Fault { fault } => {
                cause = Some((*at, fault));
                open.fault(*at, fault);
            }
            Traced::Died { node } => {
                let why = cause.filter(|(when, _)| when == at).map(|(_, fault)| fault);
                open.close(*at, |sort| sort == Sort::Pause(*node));
                open.open(*at, Sort::Down(*node), Place::Node(*node), death(why));
            }
            Traced::Booted { node } => open.close(*at, |sort| sort == Sort::Down(*node)),
            Traced::Refused { node, .. } => {
                open.close(*at, |sort| sort == Sort::Down(*node));
                let label = "down: refused to boot".to_owned();
                open.open(*at, Sort::Down(*node), Place::Node(*node), label);
            }
            Traced::Handled { .. }
            | Traced::Sent { .. }
            | Traced::State { .. }
            | Traced::Persisted { .. }
            | Traced::Synced { .. }
            | Traced::Answered { .. } => {}
        }
    }
    open.close(end, |_| true);
    open.bands.sort_by_key(|band| (band.from, band.until));
    open.bands
}

/// What ends together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Down(NodeId),
    Pause(NodeId),
    Cut,
    Links,
    Clock(NodeId),
    Disk(NodeId),
}

struct Open {
    bands: Vec<Band>,
    open: Vec<(Sort, Band)>,
}

impl Open {
    fn fault(&mut self, at: Timestamp, fault: &Fault) {
        match fault {
            // Shown by the process's death and boot.
            Fault::Crash { .. } | Fault::Restart { .. } | Fault::PowerLoss => {}
            Fault::Pause { node } => {
                let is_known = self
                    .open
                    .iter()
                    .any(|(sort, _)| *sort == Sort::Pause(*node) || *sort == Sort::Down(*node));
                if !is_known {
                    let label = "paused".to_owned();
                    self.open(at, Sort::Pause(*node), Place::Node(*node), label);
                }
            }
            Fault::Resume { node } => self.close(at, |sort| sort == Sort::Pause(*node)),
            Fault::Partition { groups } => {
                let place = Place::Between(groups.clone());
                self.open(at, Sort::Cut, place, words(fault));
            }
            Fault::Cut { from, to } => {
                let place = Place::OneWay(from.clone(), to.clone());
                self.open(at, Sort::Cut, place, words(fault));
            }
            Fault::Heal => self.close(at, |sort| sort == Sort::Cut),
            Fault::Links(links) => {
                self.close(at, |sort| sort == Sort::Links);
                if *links != LinkFault::default() {
                    self.open(at, Sort::Links, Place::Links, words(fault));
                }
            }
            Fault::Clock { node, clock } => {
                self.close(at, |sort| sort == Sort::Clock(*node));
                if clock.drift_ppm != 0 {
                    self.open(at, Sort::Clock(*node), Place::Node(*node), clock_words(*clock));
                } else if clock.jump_nanos != 0 {
                    self.once(at, *node, clock_words(*clock));
                }
            }
            Fault::Disk { node, disk } => {
                self.close(at, |sort| sort == Sort::Disk(*node));
                if *disk != DiskFault::default() {
                    self.open(at, Sort::Disk(*node), Place::Node(*node), disk_words(*disk));
                }
            }
            Fault::CrashAfter { node, effects } => {
                self.once(at, *node, format!("to die after {effects} effects"));
            }
            Fault::Rot { node, .. } => self.once(at, *node, "a record rots".to_owned()),
            Fault::Wipe { node } => self.once(at, *node, "disk wiped".to_owned()),
        }
    }

    fn open(&mut self, from: Timestamp, sort: Sort, place: Place, label: String) {
        self.open.push((sort, Band { from, until: from, place, label }));
    }

    fn once(&mut self, at: Timestamp, node: NodeId, label: String) {
        self.bands.push(Band { from: at, until: at, place: Place::Node(node), label });
    }

    fn close(&mut self, until: Timestamp, which: impl Fn(Sort) -> bool) {
        for (_, band) in self.open.extract_if(.., |(sort, _)| which(*sort)) {
            self.bands.push(Band { until, ..band });
        }
    }
}

fn death(why: Option<&Fault>) -> String {
    match why {
        Some(Fault::PowerLoss) => "down: power lost".to_owned(),
        Some(Fault::Wipe { .. }) => "down: disk wiped".to_owned(),
        Some(Fault::Crash { .. }) => "down: crashed".to_owned(),
        _ => "down".to_owned(),
    }
}

/// `fault` in a few words.
pub(super) fn words(fault: &Fault) -> String {
    match fault {
        Fault::Crash { node } => format!("crash {node}"),
        Fault::Restart { node } => format!("restart {node}"),
        Fault::Pause { node } => format!("pause {node}"),
        Fault::Resume { node } => format!("resume {node}"),
        Fault::PowerLoss => "power loss".to_owned(),
        Fault::Partition { groups } => {
            let sides: Vec<String> = groups.iter().map(|side| names(side)).collect();
            format!("partition {}", sides.join(" ∤ "))
        }
        Fault::Cut { from, to } => format!("cut {} ↛ {}", names(from), names(to)),
        Fault::Heal => "every cut ends".to_owned(),
        Fault::Links(links) if *links == LinkFault::default() => "links are sound".to_owned(),
        Fault::Links(links) => link_words(*links),
        Fault::Clock { node, clock } => format!("{node}: {}", clock_words(*clock)),
        Fault::Disk { node, disk } => format!("{node}: {}", disk_words(*disk)),
        Fault::CrashAfter { node, effects } => format!("{node} is to die after {effects} effects"),
        Fault::Rot { node, at_ppm, damage } => {
            format!("{node}: a record {} % into its log rots: {damage:?}", percent(*at_ppm))
        }
        Fault::Wipe { node } => format!("wipe the disk of {node}"),
    }
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// Millionths as hundredths, with one decimal if it needs one.
fn percent(ppm: u32) -> String {
    match (ppm / 10_000, ppm % 10_000 / 1_000) {
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    }
}

fn link_words(links: LinkFault) -> String {
    let LinkFault { loss_ppm, duplicate_ppm, delay_ppm, delay_max } = links;
    let shares = [(loss_ppm, "lost"), (duplicate_ppm, "doubled"), (delay_ppm, "held back")];
    let mut parts: Vec<String> = shares
        .iter()
        .filter(|(ppm, _)| *ppm > 0)
        .map(|(ppm, what)| format!("{} % {what}", percent(*ppm)))
        .collect();
    if (duplicate_ppm, delay_ppm) != (0, 0) {
        parts.push(format!("by up to {} ms", delay_max.as_millis()));
    }
    format!("links: {}", parts.join(", "))
}

fn clock_words(clock: ClockFault) -> String {
    let ClockFault { drift_ppm, jump_nanos } = clock;
    let drift = f64::from(drift_ppm) / 1e4;
    let jump = jump_nanos as f64 / 1e9;
    match (drift_ppm, jump_nanos) {
        (0, 0) => "clock is true".to_owned(),
        (_, 0) => format!("clock {drift:+.1} %"),
        (0, _) => format!("wall clock jumps {jump:+.2} s"),
        (_, _) => format!("clock {drift:+.1} %, wall {jump:+.2} s"),
    }
}

fn disk_words(disk: DiskFault) -> String {
    let DiskFault { slow, stalled, full, torn } = disk;
    let mut parts = Vec::new();
    if !slow.is_zero() {
        parts.push(format!("slow by {} ms", slow.as_millis()));
    }
    for (is_so, what) in [(stalled, "stalled"), (full, "full"), (torn, "tears writes")] {
        if is_so {
            parts.push(what.to_owned());
        }
    }
    if parts.is_empty() {
        return "disk is sound".to_owned();
    }
    format!("disk: {}", parts.join(", "))
}
