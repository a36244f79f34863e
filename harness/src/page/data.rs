//! A recording as columns of numbers: a page of a hundred thousand events stays small, and is read
//! in a fraction of a second.

use std::collections::HashMap;

use cluster::{NodeId, Role, Timestamp};
use serde_json::{Value, json};

use crate::recording::{
    Band, Condition, Ending, EventKind, Message, OperationKind, Place, Recording, StateChange,
};

/// The data of `recording`, ready to stand in a `script` element.
///
/// Columns of ascending times hold differences. Nodes are told by their place among all nodes, and
/// texts by their place in `strings`.
pub(super) fn json(recording: &Recording) -> String {
    let mut strings = Strings::default();
    let place = |node: NodeId| place_of(recording, node);
    let data = json!({
        "nodes": recording.nodes.iter().map(NodeId::to_string).collect::<Vec<_>>(),
        "end": recording.end.as_nanos(),
        "healed": recording.healed.map(Timestamp::as_nanos),
        "gauges": recording.gauges,
        "findings": findings(recording),
        "states": states(recording),
        "messages": messages(recording, &mut strings),
        "bands": recording.bands.iter().map(|it| band(it, &place)).collect::<Vec<_>>(),
        "events": events(recording, &mut strings),
        "operations": operations(recording, &mut strings),
        "holds": holds(recording),
        "accesses": accesses(recording),
        "windows": recording.windows.iter().map(|window| {
            let serving: Vec<String> = window.serving.iter().map(NodeId::to_string).collect();
            json!({
                "from": window.from.as_nanos(),
                "until": window.until.as_nanos(),
                "serving": serving.join(" "),
            })
        }).collect::<Vec<_>>(),
        "strings": strings.all,
    });
    // Nothing in it can end the element or begin a comment.
    data.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028")
}

/// Texts, each kept once.
#[derive(Default)]
struct Strings<'a> {
    all: Vec<&'a str>,
    known: HashMap<&'a str, usize>,
}

impl<'a> Strings<'a> {
    fn place(&mut self, text: &'a str) -> usize {
        *self.known.entry(text).or_insert_with(|| {
            self.all.push(text);
            self.all.len() - 1
        })
    }
}

/// The place of `node` among all nodes; -1 if it is none of them.
fn place_of(recording: &Recording, node: NodeId) -> i64 {
    let place = recording.nodes.iter().position(|known| *known == node);
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or(-1)
}

/// Each time as its difference from the one before.
fn differences(times: impl Iterator<Item = Timestamp>) -> Vec<u64> {
    let mut last = Timestamp::ZERO;
    times
        .map(|at| {
            let passed = at.as_nanos().saturating_sub(last.as_nanos());
            last = last.max(at);
            passed
        })
        .collect()
}

fn findings(recording: &Recording) -> Vec<Value> {
    let finding = |it: &crate::recording::Finding| {
        json!({
            "guarantee": it.guarantee.name(),
            "claimed": it.claimed,
            "at": it.at.map(Timestamp::as_nanos),
            "nodes": it.nodes.iter().map(|&node| place_of(recording, node)).collect::<Vec<_>>(),
            "operations": it.operations,
            "holds": it.holds,
            "core": it.contradiction.as_ref().map(|found| &found.core),
            "stuck": it.contradiction.as_ref().map(|found| found.stuck),
        })
    };
    recording.findings.iter().map(finding).collect()
}

fn states(recording: &Recording) -> Value {
    let all = &recording.states;
    let condition = |state: &StateChange| match state.condition {
        Condition::Up => 0,
        Condition::Paused => 1,
        Condition::Down => 2,
    };
    let role = |state: &StateChange| match state.role {
        None => -1,
        Some(Role::Follower) => 0,
        Some(Role::Candidate) => 1,
        Some(Role::Leader) => 2,
        Some(Role::Replica) => 3,
    };
    // Of each node's gauges, those that differ from its last: place, value, place, value …
    let mut last: HashMap<NodeId, Vec<Option<u64>>> = HashMap::new();
    let gauges: Vec<Vec<u64>> = all
        .iter()
        .map(|state| {
            let known =
                last.entry(state.node).or_insert_with(|| vec![None; recording.gauges.len()]);
            let mut changed = Vec::new();
            for &(gauge, value) in &state.gauges {
                if known[gauge] != Some(value) {
                    known[gauge] = Some(value);
                    changed.extend([gauge as u64, value]);
                }
            }
            changed
        })
        .collect();
    json!({
        "at": differences(all.iter().map(|it| it.at)),
        "node": all.iter().map(|it| place_of(recording, it.node)).collect::<Vec<_>>(),
        "condition": all.iter().map(condition).collect::<Vec<_>>(),
        "role": all.iter().map(role).collect::<Vec<_>>(),
        "epoch": all.iter().map(|it| it.epoch).collect::<Vec<_>>(),
        "leader": all
            .iter()
            .map(|it| it.leader.map_or(-1, |leader| place_of(recording, leader)))
            .collect::<Vec<_>>(),
        "gauges": gauges,
    })
}

fn messages<'a>(recording: &'a Recording, strings: &mut Strings<'a>) -> Value {
    let all = &recording.messages;
    let arrival = |message: &Message, which: usize| {
        let at = message.arrivals.get(which);
        at.map_or(-1, |at| {
            let passed = at.as_nanos().saturating_sub(message.sent.as_nanos());
            i64::try_from(passed).unwrap_or(i64::MAX)
        })
    };
    json!({
        "sent": differences(all.iter().map(|it| it.sent)),
        "from": all.iter().map(|it| place_of(recording, it.from)).collect::<Vec<_>>(),
        "to": all.iter().map(|it| place_of(recording, it.to)).collect::<Vec<_>>(),
        "first": all.iter().map(|it| arrival(it, 0)).collect::<Vec<_>>(),
        "second": all.iter().map(|it| arrival(it, 1)).collect::<Vec<_>>(),
        "heard": all.iter().map(|it| u8::from(it.heard)).collect::<Vec<_>>(),
        "text": all.iter().map(|it| strings.place(&it.text)).collect::<Vec<_>>(),
    })
}

fn band(band: &Band, place: &dyn Fn(NodeId) -> i64) -> Value {
    let places = |nodes: &[NodeId]| nodes.iter().map(|&node| place(node)).collect::<Vec<_>>();
    let (kind, nodes) = match &band.place {
        Place::Node(node) => ("node", vec![vec![place(*node)]]),
        Place::Between(sides) => ("between", sides.iter().map(|side| places(side)).collect()),
        Place::OneWay(from, to) => ("one-way", vec![places(from), places(to)]),
        Place::Links => ("links", Vec::new()),
    };
    json!({
        "from": band.from.as_nanos(),
        "until": band.until.as_nanos(),
        "kind": kind,
        "nodes": nodes,
        "label": band.label,
    })
}

fn events<'a>(recording: &'a Recording, strings: &mut Strings<'a>) -> Value {
    let all = &recording.events;
    let kind = |kind: EventKind| match kind {
        EventKind::Boot => 0,
        EventKind::Death => 1,
        EventKind::Fault => 2,
        EventKind::Request => 3,
        EventKind::Disk => 4,
    };
    json!({
        "at": differences(all.iter().map(|it| it.at)),
        "node": all
            .iter()
            .map(|it| it.node.map_or(-1, |node| place_of(recording, node)))
            .collect::<Vec<_>>(),
        "kind": all.iter().map(|it| kind(it.kind)).collect::<Vec<_>>(),
        "text": all.iter().map(|it| strings.place(&it.text)).collect::<Vec<_>>(),
    })
}

fn operations<'a>(recording: &'a Recording, strings: &mut Strings<'a>) -> Value {
    let all = &recording.operations;
    let end = |end: Ending| match end {
        Ending::Done => 0,
        Ending::Refused => 1,
        Ending::Unknown => 2,
    };
    let kind = |kind: OperationKind| match kind {
        OperationKind::Read => 0,
        OperationKind::Write => 1,
        OperationKind::Other => 2,
    };
    json!({
        "invoked": differences(all.iter().map(|it| it.invoked)),
        "lasted": all
            .iter()
            .map(|it| it.returned.as_nanos().saturating_sub(it.invoked.as_nanos()))
            .collect::<Vec<_>>(),
        "process": all.iter().map(|it| it.process).collect::<Vec<_>>(),
        "node": all.iter().map(|it| place_of(recording, it.node)).collect::<Vec<_>>(),
        "end": all.iter().map(|it| end(it.end)).collect::<Vec<_>>(),
        "kind": all.iter().map(|it| kind(it.kind)).collect::<Vec<_>>(),
        "label": all.iter().map(|it| strings.place(&it.label)).collect::<Vec<_>>(),
        "text": all.iter().map(|it| strings.place(&it.text)).collect::<Vec<_>>(),
    })
}

fn holds(recording: &Recording) -> Value {
    let all = &recording.holds;
    let nanos = |of: fn(&crate::history::Hold) -> Timestamp| {
        all.iter().map(|it| of(it).as_nanos().min(recording.end.as_nanos())).collect::<Vec<_>>()
    };
    json!({
        "lock": all.iter().map(|it| it.lock).collect::<Vec<_>>(),
        "owner": all.iter().map(|it| it.owner).collect::<Vec<_>>(),
        "token": all.iter().map(|it| it.token).collect::<Vec<_>>(),
        "granted": nanos(|it| it.granted),
        "lease": nanos(|it| it.lease_until),
        "believed": nanos(|it| it.believed_until),
    })
}

fn accesses(recording: &Recording) -> Value {
    let all = &recording.accesses;
    json!({
        "at": all.iter().map(|it| it.at.as_nanos()).collect::<Vec<_>>(),
        "lock": all.iter().map(|it| it.lock).collect::<Vec<_>>(),
        "owner": all.iter().map(|it| it.owner).collect::<Vec<_>>(),
        "token": all.iter().map(|it| it.token).collect::<Vec<_>>(),
        "accepted": all.iter().map(|it| u8::from(it.accepted)).collect::<Vec<_>>(),
    })
}
