//! What did not hold, and where on the page to look for it.
//!
//! Judges say what they saw in a sentence. Who it concerns, and when it showed, is read off that
//! sentence, whose words for nodes, clients, locks, tokens and times are the same everywhere.

use cluster::{NodeId, Timestamp};

use super::{Contradiction, Finding, Recording, contradiction, millis};
use crate::guarantee::{Guarantee, Violation};

/// `violation`, as it shows in `recording`.
pub(super) fn finding(
    recording: &Recording,
    violation: &Violation,
    claimed: bool,
    found: Option<&Contradiction>,
) -> Finding {
    let Violation { guarantee, what } = violation;
    let found = found.filter(|_| *guarantee == Guarantee::Linearizability).cloned();
    let words: Vec<&str> = what
        .split(|char: char| char.is_whitespace() || "[](){},;:".contains(char))
        .filter(|word| !word.is_empty())
        .collect();
    let mut nodes: Vec<NodeId> = words.iter().filter_map(|word| node(word)).collect();
    nodes.retain(|node| recording.nodes.contains(node));
    nodes.sort_unstable();
    nodes.dedup();
    let holds = holds(recording, &words);
    let times = words.iter().filter_map(|word| time(word));
    let mut at = times.filter(|&at| at <= recording.end).max();
    if matches!(guarantee, Guarantee::MutualExclusion | Guarantee::LeaseExclusion) {
        // It began when the later one got what the other still held.
        at = holds.iter().map(|&index| recording.holds[index].granted).max().or(at);
    }
    let mut operations = Vec::new();
    let mut sentence = readable(what.lines().next().unwrap_or_default());
    if let Some(found) = &found {
        let stuck = &recording.operations[found.stuck];
        at = Some(stuck.returned);
        nodes = vec![stuck.node];
        operations.clone_from(&found.core);
        sentence = contradiction::sentence(found, &recording.operations);
    } else if let Some(at) = at {
        // Judges of calls name the time of a call's begin or end.
        operations = (0..recording.operations.len())
            .filter(|&index| {
                let operation = &recording.operations[index];
                operation.invoked == at || operation.returned == at
            })
            .collect();
    }
    let (guarantee, detail) = (*guarantee, what.clone());
    let contradiction = found;
    Finding { guarantee, claimed, sentence, detail, at, nodes, operations, holds, contradiction }
}

/// `n3`, alone.
fn node(word: &str) -> Option<NodeId> {
    word.strip_prefix('n')?.parse().ok().map(NodeId::new)
}

/// `12.345678ms`, which is how a [`Timestamp`] prints.
fn time(word: &str) -> Option<Timestamp> {
    let (millis, nanos) = word.strip_suffix("ms")?.split_once('.')?;
    let is_whole = nanos.len() == 6 && nanos.bytes().all(|byte| byte.is_ascii_digit());
    let (millis, nanos): (u64, u64) = (millis.parse().ok()?, nanos.parse().ok()?);
    is_whole.then(|| Timestamp::from_nanos(millis.saturating_mul(1_000_000).saturating_add(nanos)))
}

/// The number after `name`, wherever that is said.
fn numbers(words: &[&str], name: &str) -> Vec<u64> {
    let pairs = words.windows(2).filter(|pair| pair[0] == name);
    pairs.filter_map(|pair| pair[1].parse().ok()).collect()
}

/// The holds of the lock and of the tokens that are named.
fn holds(recording: &Recording, words: &[&str]) -> Vec<usize> {
    let (locks, tokens) = (numbers(words, "lock"), numbers(words, "token"));
    let is_named = |index: &usize| {
        let hold = &recording.holds[*index];
        locks.contains(&u64::from(hold.lock)) && tokens.contains(&hold.token)
    };
    (0..recording.holds.len()).filter(is_named).collect()
}

/// `line` as a sentence, with its times to the microsecond; names of nodes stay small.
fn readable(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    // Lists print with brackets, which a sentence does not need.
    let line = line.replace(['[', ']'], "");
    for (index, word) in line.split(' ').enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let bare = word.trim_end_matches([',', ';', ':', ')', '.']);
        match time(bare) {
            Some(at) => {
                text += &millis(at);
                text += &word[bare.len()..];
            }
            None => text += word,
        }
    }
    if !text.is_empty() && !text.ends_with('.') {
        text.push('.');
    }
    let first = text.split([' ', ',']).next().unwrap_or_default();
    if node(first).is_none()
        && let Some(letter) = text.get_mut(..1)
    {
        letter.make_ascii_uppercase();
    }
    text
}
